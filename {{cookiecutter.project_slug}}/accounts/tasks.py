"""Celery tasks about users and their sessions."""

from celery import shared_task
from django.conf import settings
from django.core.management import call_command

from accounts.forms import PasswordResetMailForm


@shared_task(
    ignore_result=True,  # nobody may learn whether there was a mail to send, and the log says what failed
    autoretry_for=(OSError,),  # a mail server that is down or refuses the mail; smtplib's SMTPException is an OSError
    max_retries=8,
    # The longest delay before each retry, in seconds: 10, 20, 40 and so on up to 300. Celery picks a random delay below
    # it, so that the mails that waited for the same server do not all arrive at the same moment.
    retry_backoff=10,
    retry_backoff_max=300,
)
def send_password_reset_mail(email: str, domain: str, use_https: bool) -> None:
    """Mail a link for a new password to each active user who has this address and a usable password. If no user has
    both, no mail is sent.

    `domain` is the host (and port) that the link leads to, and `use_https` its scheme. Raises OSError if the mail
    server has not taken the mail after all retries.

    A mail may be sent twice: if the worker dies or the connection breaks after the server took the mail, the task does
    not know that and sends it again. This does no harm, because the first password that is set invalidates both links.
    """
    form = PasswordResetMailForm({"email": email})
    if not form.is_valid():
        return
    form.save(
        domain_override=domain,
        use_https=use_https,
        subject_template_name="accounts/password_reset_subject.txt",
        email_template_name="accounts/password_reset_email.txt",
        extra_email_context={
            "project_name": settings.PROJECT_NAME,
            "valid_hours": str(settings.PASSWORD_RESET_TIMEOUT // 3600),
        },
    )


@shared_task(ignore_result=True)  # nobody asks how it ended, and the log says it
def clear_sessions() -> None:
    """Delete expired sessions. Django leaves them in the database, so this should run about once a day."""
    call_command("clearsessions")
