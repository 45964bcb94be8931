"""The form for adding two numbers."""

from django import forms


class AddForm(forms.Form):
    """Two whole numbers."""

    x = forms.IntegerField(initial=4, min_value=-(10**12), max_value=10**12)
    y = forms.IntegerField(initial=5, min_value=-(10**12), max_value=10**12)
