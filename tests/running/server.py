"""A project as on a server: with production settings and secrets in files. This machine plays the load balancer."""

import re
import subprocess
from http.cookiejar import Cookie
from pathlib import Path
from typing import Any

import requests
from requests.cookies import RequestsCookieJar

from tests.running.stack import Stack

FILES = ["compose.yaml", "compose.prod.yaml"]
DOMAIN = "example.com"  # the prompt's default
PASSWORD = "lovelace-1815"


def prepare(folder: Path) -> None:
    """Do what the README says for a server. Docker shows this machine to containers as a private address."""
    subprocess.run(["make", "secrets"], cwd=folder, check=True, capture_output=True)
    env = folder / ".env"
    without_secrets = re.sub(r"(?m)^(SECRET_KEY|\w+_PASSWORD)=.*\n", "", env.read_text())
    without_mail = re.sub(r"(?m)^#? ?EMAIL_URL=.*\n", "", without_secrets)
    private = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
    env.write_text(without_mail.replace("ALLOW_IPS=127.0.0.1\n", f"ALLOW_IPS={private}\n") + "EMAIL_URL=dummymail://\n")


class CookieJar(RequestsCookieJar):
    """Also sends the cookies that a browser would send only over TLS, because the tests, as the load balancer, reach
    the project without TLS.
    """

    def set_cookie(self, cookie: Cookie, *args: Any, **kwargs: Any) -> Any:
        cookie.secure = False
        return super().set_cookie(cookie, *args, **kwargs)


def speak_for(session: requests.Session) -> None:
    """Make the session speak as a load balancer does for a browser that came with TLS."""
    session.headers.update({"Host": DOMAIN, "X-Forwarded-Proto": "https", "Referer": f"https://{DOMAIN}/"})
    session.cookies = CookieJar()


def log_in(stack: Stack, session: requests.Session, name: str, staff: bool = False) -> None:
    """Make a user and log the session in. Raises requests.HTTPError."""
    account = f"{name!r}, password={PASSWORD!r}, is_staff={staff}, is_superuser={staff}"
    stack.shell(f"from accounts.models import User; User.objects.create_user({account})")
    speak_for(session)
    page = session.get(f"{stack.visitor.url}/login/", timeout=30)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    form = {"csrfmiddlewaretoken": token, "username": name, "password": PASSWORD}
    session.post(f"{stack.visitor.url}/login/", data=form, timeout=30).raise_for_status()
