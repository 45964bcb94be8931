"""Logging in and asking for a new password. The other pages are Django's views with our templates: accounts/urls.py."""

import logging
from typing import Any

from django.conf import settings
from django.contrib.auth import forms, views
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from kombu.exceptions import OperationalError

from accounts.tasks import send_password_reset_mail

logger = logging.getLogger(__name__)


def is_mail_on() -> bool:
    """Return whether this site sends mail. Django's dummy backend throws every mail away."""
    return settings.EMAIL_BACKEND != "django.core.mail.backends.dummy.EmailBackend"


class LoginView(views.LoginView):
    """The login page, with a link to reset the password if this site sends mail."""

    template_name = "accounts/login.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"is_mail_on": is_mail_on()}


class PasswordResetView(views.PasswordResetView):
    """Ask for an address, and have a worker send a link to it.

    Strangers must not learn who has an account here. So this view never looks for the address: it sends the same task
    for every address, and the answer, its status and the time it takes are the same.
    """

    template_name = "accounts/password_reset.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Without mail, answer 404: nothing can be requested here. The page tells people what to do instead."""
        if not is_mail_on():
            return render(request, "accounts/password_reset_unavailable.html", status=404)
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: forms.PasswordResetForm) -> HttpResponse:
        """Send the task and redirect. Answer 503 if the broker can't be reached."""
        try:
            # Not delay_on_commit(): this view writes nothing that the task would need to see, and inside a transaction
            # (ATOMIC_REQUESTS) an error of the broker would come too late for this answer.
            send_password_reset_mail.delay(
                form.cleaned_data["email"], domain=self.request.get_host(), use_https=self.request.is_secure()
            )
        except OperationalError as error:
            logger.warning("No password reset mail was sent, because the broker can't be reached: %s", error)
            form.add_error(None, "We can't send email at the moment. Please try again in a few minutes.")
            return self.render_to_response(self.get_context_data(form=form), status=503)
        return HttpResponseRedirect(self.get_success_url())
