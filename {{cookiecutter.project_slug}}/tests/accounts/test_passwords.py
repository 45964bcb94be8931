"""Changing the password, and resetting it by mail: a real worker sends the mail to a real SMTP server."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from celery import signals
from django.contrib.auth import get_user_model
from django.test import Client
from kombu.exceptions import OperationalError

from accounts.tasks import send_password_reset_mail
from tests.support.waiting import wait_for

KNOWN, UNKNOWN = "ada@example.com", "nobody@example.com"


class Inbox:
    """Keeps the mails that an SMTP server receives. If `refuse` is set, it answers the first mails with a temporary
    error, as servers with greylisting do.
    """

    def __init__(self, refuse: int = 0):
        self.mails: list[EmailMessage] = []
        self.to_refuse = refuse

    async def handle_DATA(self, server, session, envelope) -> str:
        if self.to_refuse:
            self.to_refuse -= 1
            return "451 Try again later"
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def first_mail(self) -> EmailMessage:
        return wait_for(lambda: self.mails, "the mail", seconds=30)[0]


@pytest.fixture
def mail_port(settings) -> int:
    """A free port of this machine, to which the project sends its mail. No server listens there yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    return port


@contextmanager
def mail_server(port: int, **options: int) -> Iterator[Inbox]:
    """Run an SMTP server on this port. Yields its inbox."""
    inbox = Inbox(**options)
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()


@pytest.fixture
def inbox(mail_port) -> Iterator[Inbox]:
    with mail_server(mail_port) as inbox:
        yield inbox


@pytest.fixture
def ada(transactional_db):
    return get_user_model().objects.create_user("ada", KNOWN, "let me in")


@pytest.fixture
def retries(monkeypatch) -> Iterator[list]:
    """The reasons of all retries so far. The delay before each retry is a second."""
    monkeypatch.setattr("celery.app.autoretry.get_exponential_backoff_interval", lambda **options: 1)
    reasons = []

    def note(reason, **kwargs):
        reasons.append(reason)

    signals.task_retry.connect(note)
    yield reasons
    signals.task_retry.disconnect(note)


def link_in(mail: EmailMessage) -> str:
    """Return the link of a mail."""
    return re.search(r"https?://\S+", mail.get_content())[0]


def path_of(link: str) -> str:
    return link.partition("//testserver")[2]


# --- Change ------------------------------------------------------------------------------------------------------


def test_a_user_changes_the_password_and_stays_logged_in(client, ada):
    client.force_login(ada)

    answer = client.post(
        "/password/change/",
        {"old_password": "let me in", "new_password1": "open sesame 1", "new_password2": "open sesame 1"},
        follow=True,
    )

    assert "Password changed" in answer.content.decode()
    assert client.get("/password/change/").status_code == 200
    assert Client().login(username="ada", password="open sesame 1")  # noqa: S106  a password of this test


def test_the_old_password_must_be_right_and_the_new_one_good(client, ada):
    client.force_login(ada)

    answer = client.post(
        "/password/change/", {"old_password": "let me out", "new_password1": "12345678", "new_password2": "12345678"}
    )

    errors = answer.context["form"].errors
    assert "Your old password was entered incorrectly" in str(errors["old_password"])
    assert "This password is entirely numeric" in str(errors["new_password2"])


def test_only_users_who_are_logged_in_change_a_password(client):
    assert client.get("/password/change/").headers["Location"] == "/login/?next=/password/change/"


# --- Reset by mail -----------------------------------------------------------------------------------------------


def test_a_forgotten_password_is_reset_by_a_link_that_works_once(worker, client, ada, inbox):
    answer = client.post("/password/reset/", {"email": "Ada@Example.com"}, follow=True)
    assert "Check your email" in answer.content.decode()

    path = path_of(link_in(inbox.first_mail()))
    browser = Client()
    answer = browser.get(path, follow=True)
    assert "Set a new password" in answer.content.decode()
    form_address = answer.redirect_chain[-1][0]
    new = {"new_password1": "open sesame 1", "new_password2": "open sesame 1"}
    assert "Password set" in browser.post(form_address, new, follow=True).content.decode()

    assert not Client().login(username="ada", password="let me in")  # noqa: S106  a password of this test
    answer = browser.post("/login/", {"username": "ada", "password": "open sesame 1"})
    assert answer.status_code == 302
    for visitor in (browser, Client()):
        assert "This link does not work" in visitor.get(path, follow=True).content.decode()


def test_the_mail_is_plain_text_and_says_everything_that_its_reader_needs(worker, client, ada, inbox, settings):
    settings.PROJECT_NAME = "Ada & Co's"
    settings.PASSWORD_RESET_TIMEOUT = 2 * 3600
    settings.DEFAULT_FROM_EMAIL = "site@example.com"

    client.post("/password/reset/", {"email": KNOWN}, secure=True)

    mail = inbox.first_mail()
    assert (mail["From"], mail["To"], mail.get_content_type()) == ("site@example.com", KNOWN, "text/plain")
    assert mail["Subject"] == "Reset your password for Ada & Co's"
    text = mail.get_content()
    for part in ("Hello ada,", "at Ada & Co's.", "only for 2 hours", "If you did not ask for this, ignore this email"):
        assert part in text
    assert link_in(mail).startswith("https://testserver/password/reset/")


def test_nobody_learns_whether_an_address_has_an_account(worker, client, ada, inbox, django_assert_num_queries):
    answers = []
    for address in (UNKNOWN, KNOWN):
        with django_assert_num_queries(0):  # the time that it takes can't depend on what is in the database
            answers.append(client.post("/password/reset/", {"email": address}))
        answers[-1].page = client.get(answers[-1].headers["Location"]).content

    unknown, known = answers
    assert unknown.status_code == known.status_code == 302
    assert unknown.headers["Location"] == known.headers["Location"]
    assert unknown.page == known.page
    # The unknown address came first, so a mail to it would be here by now.
    assert inbox.first_mail()["To"] == KNOWN
    assert len(inbox.mails) == 1


@pytest.mark.parametrize("address", ["", "ada", "ada@example.com, nobody@example.com"])
def test_an_invalid_address_is_an_error_of_its_field_and_sends_no_task(client, inbox, address, monkeypatch):
    monkeypatch.setattr(send_password_reset_mail, "delay", lambda *args, **kwargs: pytest.fail("a task was sent"))

    answer = client.post("/password/reset/", {"email": address})

    assert list(answer.context["form"].errors) == ["email"]


def test_a_mail_server_that_is_down_gets_the_mail_later(worker, client, ada, mail_port, retries):
    client.post("/password/reset/", {"email": KNOWN})
    [reason, *_] = wait_for(lambda: retries, "the first retry", seconds=30)
    assert "refused" in str(reason)

    with mail_server(mail_port) as inbox:
        assert inbox.first_mail()["To"] == KNOWN


def test_a_mail_server_that_refuses_a_mail_for_now_gets_it_later(worker, client, ada, mail_port, retries):
    with mail_server(mail_port, refuse=1) as inbox:
        client.post("/password/reset/", {"email": KNOWN})

        assert inbox.first_mail()["To"] == KNOWN
    assert "Try again later" in str(retries[0])


def test_a_broker_that_is_down_is_the_same_error_for_each_address(client, ada, inbox, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr(send_password_reset_mail, "delay", refuse)

    answers = [client.post("/password/reset/", {"email": address}) for address in (UNKNOWN, KNOWN)]

    assert [answer.status_code for answer in answers] == [503, 503]
    for answer in answers:
        assert answer.context["form"].non_field_errors() == [
            "We can't send email at the moment. Please try again in a few minutes."
        ]


def test_a_site_that_sends_no_mail_says_so_and_offers_no_reset(client, ada, settings):
    assert 'href="/password/reset/"' in client.get("/login/").content.decode()

    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

    assert 'href="/password/reset/"' not in client.get("/login/").content.decode()
    for ask in (client.get, lambda address: client.post(address, {"email": KNOWN})):
        answer = ask("/password/reset/")
        assert answer.status_code == 404
        assert "This site does not send email" in answer.content.decode()
        assert "administrator" in answer.content.decode()
