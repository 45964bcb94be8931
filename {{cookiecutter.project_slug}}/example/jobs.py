"""Sample jobs, each below its form (the one of `add` is in forms.py). The project finds a jobs.py in every app.

A form checks what is submitted on the page or by the API, and not what code passes to submit(). If the worker dies, the
job starts again from the beginning, so running it twice must do no harm.
"""

import csv
import io
from datetime import date, timedelta

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import FileExtensionValidator
from PIL import Image, ImageOps

from example.forms import AddForm
from jobs import job, output, progress

# Decoded, a picture needs four bytes per pixel, so this is 100 MB.
MAX_PIXELS = 25_000_000


# The same work as the task example.tasks.add, so that you can compare the two: a task is only a message to a worker,
# and a job is also a row, so it is not lost before its work is done.
@job(form=AddForm)
def add(x: int, y: int) -> int:
    """Add two numbers."""
    return x + y


class PowerForm(forms.Form):
    base = forms.IntegerField(initial=2, min_value=-1000, max_value=1000)
    exponent = forms.IntegerField(initial=10, min_value=0, max_value=1000)


@job(form=PowerForm)
def power(base: int, exponent: int) -> int:
    """Raise a number to a power."""
    return base**exponent


class FibonacciForm(forms.Form):
    n = forms.IntegerField(
        initial=30, min_value=0, max_value=35, help_text="If n grows by 1, it takes 1.6 times as long"
    )


# atomic=False, as in the jobs below: they write nothing to the database, so a long transaction would be useless.
@job(form=FibonacciForm, time_limit=120, atomic=False)
def fibonacci(n: int) -> int:
    """Compute a Fibonacci number the slow way, to keep a processor busy."""
    if n < 0:
        raise ValueError("there is no Fibonacci number before the first")
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


class ImageForm(forms.Form):
    image = forms.ImageField(
        label="JPEG",
        validators=[FileExtensionValidator(["jpg", "jpeg"])],
        widget=forms.FileInput({"accept": ".jpg,.jpeg"}),
    )

    def clean_image(self) -> UploadedFile:
        """Refuse files that are not JPEGs in spite of their name, and small files that decode to a huge picture.

        This is cheap, because Django has read only the header of the picture.
        """
        upload = self.cleaned_data["image"]
        if upload.image.format != "JPEG":
            raise ValidationError("This is not a JPEG.", code="not_jpeg")
        width, height = upload.image.size
        if width * height > MAX_PIXELS:
            raise ValidationError(f"{width} by {height} pixels are too many: at most {MAX_PIXELS:,}.", code="too_large")
        return upload


@job(form=ImageForm, time_limit=60, atomic=False)
def convert_image(image: str) -> dict:
    """Convert a JPEG to a PNG."""
    with default_storage.open(image) as source, output("image.png") as target:
        picture = ImageOps.exif_transpose(Image.open(source, formats=["JPEG"]))
        if picture.mode == "CMYK":  # used for printing; PNG does not support it
            picture = picture.convert("RGB")
        picture.save(target, "PNG")
    return {"width": picture.width, "height": picture.height}


class ReportForm(forms.Form):
    rows = forms.IntegerField(initial=100_000, min_value=1, max_value=1_000_000)


@job(form=ReportForm, time_limit=300, atomic=False)
def build_report(rows: int) -> dict:
    """Build a CSV of invented orders."""
    first_day, cents = date(2020, 1, 1), 0
    with output("report.csv") as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(["order", "date", "customer", "amount"])
        for number in range(1, rows + 1):
            amount = number * 7919 % 100_000
            cents += amount
            day = first_day + timedelta(days=number % 2000)
            writer.writerow([number, day, f"customer {number * 31 % 997}", f"{amount / 100:.2f}"])
            if number % 1000 == 0 or number == rows:
                progress(number, rows, "rows")
        text.detach()
    return {"rows": rows, "total": f"{cents / 100:.2f}"}
