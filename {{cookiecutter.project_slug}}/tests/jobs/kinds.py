"""The kinds of jobs that the tests of the engine use, so that these tests work without the kinds of any app.

The test process also runs the workers, in threads, so they know these kinds as well.
"""

from django import forms
from django.core.files.storage import default_storage
from django.core.validators import FileExtensionValidator

from jobs import job, output


class MultiplyForm(forms.Form):
    x = forms.IntegerField(initial=4)
    y = forms.IntegerField(initial=5)


@job(form=MultiplyForm)
def multiply(x: int, y: int) -> int:
    """Multiply two numbers."""
    return x * y


class DoubleForm(forms.Form):
    number = forms.IntegerField(initial=3, min_value=0, max_value=35)


@job(form=DoubleForm, atomic=False)
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class ShoutForm(forms.Form):
    text = forms.FileField(validators=[FileExtensionValidator(["txt"])])


@job(form=ShoutForm, atomic=False)
def shout(text: str) -> dict:
    """Turn a text into upper case."""
    with default_storage.open(text) as source, output("shouted.txt") as target:
        content = source.read()
        target.write(content.upper())
    return {"bytes": len(content)}
