"""What people may send: one form a sample task or kind of job. The page shows it, and it checks what comes in."""

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import FileExtensionValidator

MAX_PIXELS = 25_000_000  # unpacked, a picture takes four bytes a pixel: 100 MB


class AddForm(forms.Form):
    """Two whole numbers."""

    x = forms.IntegerField(initial=4, min_value=-(10**12), max_value=10**12)
    y = forms.IntegerField(initial=5, min_value=-(10**12), max_value=10**12)


class PowerForm(forms.Form):
    base = forms.IntegerField(initial=2, min_value=-1000, max_value=1000)
    exponent = forms.IntegerField(initial=10, min_value=0, max_value=1000)


class FibonacciForm(forms.Form):
    n = forms.IntegerField(initial=30, min_value=0, max_value=35, help_text="Each step takes 1.6 times as long")


class ImageForm(forms.Form):
    image = forms.ImageField(
        label="JPEG",
        validators=[FileExtensionValidator(["jpg", "jpeg"])],
        widget=forms.FileInput({"accept": ".jpg,.jpeg"}),
    )

    def clean_image(self):
        """Refuse what only calls itself a JPEG, and a small file that unpacks to a huge picture. Django has read the
        header only, so that this costs nothing.
        """
        upload = self.cleaned_data["image"]
        if upload.image.format != "JPEG":
            raise ValidationError("This is not a JPEG.", code="not_jpeg")
        width, height = upload.image.size
        if width * height > MAX_PIXELS:
            raise ValidationError(f"{width} by {height} pixels are too many: at most {MAX_PIXELS:,}.", code="too_large")
        return upload


class ReportForm(forms.Form):
    rows = forms.IntegerField(initial=100_000, min_value=1, max_value=1_000_000)
