"""The form that sends the mail for a password reset. The worker uses it: accounts/tasks.py."""

from django.contrib.auth import forms
from django.core.mail import EmailMessage
from django.template.loader import render_to_string


class PasswordResetMailForm(forms.PasswordResetForm):
    """Django's form, but errors of the mail server are raised. Django's form only logs them, so a task would never know
    that it has to try again.
    """

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict,
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,
    ) -> None:
        """Send one plain-text mail to `to_email`. Raises OSError (SMTPException is one) if it can't be sent."""
        subject = " ".join(render_to_string(subject_template_name, context).split())
        body = render_to_string(email_template_name, context)
        EmailMessage(subject, body, from_email, [to_email]).send()
