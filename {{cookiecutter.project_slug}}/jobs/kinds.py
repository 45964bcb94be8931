"""Sample kinds of jobs. Each may be started again when its worker dies, and starts from the beginning then."""

import csv
import io
from datetime import date, timedelta

from django.core.files.storage import default_storage
from PIL import Image, ImageOps

from jobs import forms
from jobs.registry import job
from jobs.run import output, progress


@job(form=forms.AddForm)
def add(x: int, y: int) -> int:
    """Add two numbers."""
    return x + y


@job(form=forms.PowerForm)
def power(base: int, exponent: int) -> int:
    """Raise a number to a power."""
    return base**exponent


# Not atomic, like the next two: they write nothing to the database.
@job(form=forms.FibonacciForm, time_limit=120, atomic=False)
def fibonacci(n: int) -> int:
    """Compute a Fibonacci number the slow way, to keep a processor busy."""
    if n < 0:
        raise ValueError("there is no Fibonacci number before the first")
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@job(form=forms.ImageForm, time_limit=60, atomic=False)
def convert_image(image: str) -> dict:
    """Convert a JPEG to a PNG."""
    with default_storage.open(image) as source, output("image.png") as target:
        picture = ImageOps.exif_transpose(Image.open(source, formats=["JPEG"]))
        if picture.mode == "CMYK":  # from a printer's workflow; PNG has no such thing
            picture = picture.convert("RGB")
        picture.save(target, "PNG")
    return {"width": picture.width, "height": picture.height}


@job(form=forms.ReportForm, time_limit=300, atomic=False)
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
