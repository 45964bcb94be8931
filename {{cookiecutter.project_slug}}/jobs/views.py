"""The pages at /jobs/: people submit jobs, watch their own, cancel them, and download what the jobs have written."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.utils.http import urlencode
from django.utils.text import Truncator
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh
from django_htmx.middleware import HtmxDetails

from jobs import downloads, lifecycle, registry, submit
from jobs.exceptions import IdempotencyConflict
from jobs.models import Job

PAGE_SIZE = 20  # jobs


class Request(HttpRequest):
    """A request as these views get it, with what middleware has added. It exists for type checking only."""

    htmx: HtmxDetails
    user: Any  # logged in, and of the user model that the project has


def login_required_for_htmx(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """If nobody is logged in, redirect to the login page. A page that polls is told to reload itself instead.

    Without the reload, htmx would follow the redirect and put the login form in the place of the list.
    """

    @wraps(view)
    def wrapped(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.htmx and not request.user.is_authenticated:
            return HttpResponseClientRefresh()
        return login_required(view)(request, *args, **kwargs)

    # Browsers must not store these pages. Otherwise "back" would show a form whose idempotency key is used up, or
    # somebody's jobs after they have logged out.
    return never_cache(wrapped)


@login_required_for_htmx
@require_safe
def job_list(request: Request) -> HttpResponse:
    """Show the forms of all kinds and the user's own jobs. htmx gets only the list of jobs."""
    return _render_list(request)


@login_required_for_htmx
def submit_job(request: Request, kind: str) -> HttpResponse:
    """Submit a job of this kind. Show the form again if it is not valid. Answer 404 if the kind has no form."""
    kinds = {spec.name: spec for spec in registry.submittable_kinds()}
    if kind not in kinds:
        raise Http404
    if request.method != "POST":  # People come here after logging in, or type the address.
        return redirect("jobs:list")
    form = _submit_form(kinds[kind], request.POST, request.FILES)
    if form.is_valid():
        arguments = form.cleaned_data
        idempotency_key = str(arguments.pop("idempotency_key"))
        try:
            job = submit(kind, owner=request.user, idempotency_key=idempotency_key, **arguments)
        except IdempotencyConflict:
            data = request.POST.copy()
            data["idempotency_key"] = str(uuid.uuid4())
            form.data = data
            form.add_error(None, "This form was already sent with other values. Send it again to submit another job.")
        else:
            return redirect(f"{reverse('jobs:list')}#job-{job.pk}")
    return _render_list(request, kind, form, status=400)


@login_required_for_htmx
def job_detail(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Show everything about one of the user's own jobs. htmx gets only the part that changes."""
    job = Job.objects.filter(pk=pk, owner=request.user).first()
    if not job and request.htmx:  # The job was deleted while the page was open.
        return HttpResponseClientRefresh()
    if not job:
        raise Http404
    context = {
        "job": _for_display(job),
        "arguments": _to_json(_arguments_for_display(job)),
        "result": _to_json(job.result),
        "announcement": job.get_status_display().lower(),
    }
    return render(request, "jobs/_detail.html" if request.htmx else "jobs/job_detail.html", context)


@login_required_for_htmx
def cancel_job(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Cancel one of the user's own jobs, and return to the page that had the button."""
    job = get_object_or_404(Job, pk=pk, owner=request.user)
    if request.method == "POST":
        lifecycle.cancel(job)
    if "page" in request.POST:
        return redirect(f"{reverse('jobs:list')}?{urlencode({'page': request.POST['page']})}#job-{pk}")
    return redirect("jobs:detail", pk=pk)


@login_required
@require_safe
@cache_control(private=True)
def download(request: Request, pk: uuid.UUID) -> HttpResponseBase:
    """Send the file that one of the user's own jobs has written. Staff cannot download the files of others either."""
    return downloads.download_response(get_object_or_404(Job, pk=pk, owner=request.user))


def _render_list(
    request: Request, bound_kind: str = "", bound: forms.Form | None = None, status: int = 200
) -> HttpResponse:
    """Render the list of jobs. `bound` is the form that was sent and refused, if there is one, and belongs to the kind
    `bound_kind`.
    """
    page = Paginator(Job.objects.filter(owner=request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    unfinished = sum(not _for_display(job).is_finished for job in page)
    announcement = f"{unfinished} unfinished" if unfinished else "all finished" if page else ""
    context = {"page": page, "unfinished": unfinished, "announcement": announcement}
    if request.htmx:
        return render(request, "jobs/_list.html", context)
    context["forms"] = [
        (kind, bound if bound and bound_kind == kind.name else _submit_form(kind))
        for kind in registry.submittable_kinds()
    ]
    return render(request, "jobs/job_list.html", context, status=status)


def _submit_form(kind: registry.Kind, data: dict | None = None, files: MultiValueDict | None = None) -> forms.Form:
    """Return the kind's form with a hidden idempotency key, so that sending the same form twice submits one job."""
    # Without autocomplete="off", Firefox keeps the old key when the page is reloaded.
    key = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput({"autocomplete": "off"}))
    form_class = kind.form or forms.Form  # only kinds that have a form get here
    form = type(form_class.__name__, (form_class,), {"idempotency_key": key})
    return form(data, files, auto_id=f"{kind.name}-%s")


def _for_display(job: Job) -> Job:
    """Return the job with further attributes, which the templates show."""
    vars(job).update(
        short_arguments=_shorten(_arguments_for_display(job)),
        short_result=_shorten(job.result),
        download=downloads.download_filename(job),
        took=_format_duration(job.finished_at - job.started_at) if job.finished_at and job.started_at else "",
    )
    return job


def _arguments_for_display(job: Job) -> dict[str, Any]:
    """Return the job's arguments with the names of files but not their folder, which means nothing to people."""
    folder = f"jobs/{job.pk}/"
    return {
        name: value.removeprefix(folder) if isinstance(value, str) else value for name, value in job.arguments.items()
    }


def _shorten(value: Any) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{name} = {_shorten(inner)}" for name, inner in value.items())
    else:
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return Truncator(text).chars(80)


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _format_duration(time: timedelta) -> str:
    minutes, seconds = divmod(time.total_seconds(), 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"
