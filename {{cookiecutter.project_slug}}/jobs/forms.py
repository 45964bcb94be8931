from django import forms


class AddForm(forms.Form):
    """Two whole numbers for `jobs.tasks.add`."""

    x = forms.IntegerField(initial=4, min_value=-(10**12), max_value=10**12)
    y = forms.IntegerField(initial=5, min_value=-(10**12), max_value=10**12)
