"""The pages at /jobs/: submit jobs, watch one's own, cancel them, fetch what they wrote."""

import json
import uuid
from functools import wraps

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import Truncator
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from jobs import downloads, ledger, registry, submit
from jobs.models import Job

PAGE_SIZE = 20


def for_users(view):
    """Send who is not logged in to the login page. A page that polls is told to reload itself instead: htmx would put
    the login form in the place of a list.
    """

    @wraps(view)
    def wrapped(request, *args, **kwargs):
        if request.htmx and not request.user.is_authenticated:
            return HttpResponseClientRefresh()
        return login_required(view)(request, *args, **kwargs)

    # Not stored, so that "back" brings a new form with a new key, and nothing after a logout.
    return never_cache(wrapped)


@for_users
@require_safe
def job_list(request):
    """Forms of all kinds, and the user's own jobs. For htmx the list alone."""
    return _jobs_page(request)


@for_users
def submit_job(request, kind):
    """Submit a job of this kind; 400 with the form for what it refuses, 404 for a kind that is not offered."""
    offered = {spec.name: spec for spec in registry.offered()}
    if kind not in offered:
        raise Http404
    if request.method != "POST":  # after a login, or from the address bar
        return redirect("jobs")
    form = _form_of(offered[kind], request.POST, request.FILES)
    if form.is_valid():
        arguments = form.cleaned_data
        key = str(arguments.pop("key"))
        try:
            job = submit(kind, owner=request.user, key=key, **arguments)
        except ledger.KeyTaken:
            form.data = form.data.copy()
            form.data["key"] = uuid.uuid4()
            form.add_error(None, "This form was sent before, with other values. Send it again for one more job.")
        else:
            return redirect(f"{reverse('jobs')}#job-{job.pk}")
    return _jobs_page(request, form, status=400)


@for_users
def job_page(request, pk):
    """All about one of the user's own jobs. For htmx without the frame."""
    job = Job.objects.filter(pk=pk, owner=request.user).first()
    if not job and request.htmx:  # deleted while the page was open
        return HttpResponseClientRefresh()
    if not job:
        raise Http404
    arguments, result = _json(_without_folder(job)), _json(job.result)
    context = {"name": settings.PROJECT_NAME, "job": _shown(job), "said": job.get_status_display().lower()}
    context |= {"arguments": arguments, "result": result}
    return render(request, "jobs/_detail.html" if request.htmx else "jobs/job.html", context)


@for_users
def cancel_job(request, pk):
    """Cancel one of the user's own jobs, and go back to where the button was."""
    job = get_object_or_404(Job, pk=pk, owner=request.user)
    if request.method == "POST":
        ledger.cancel(job)
    if "page" in request.POST:
        return redirect(f"{reverse('jobs')}?{urlencode({'page': request.POST['page']})}#job-{pk}")
    return redirect("job", pk=pk)


@login_required
@require_safe
@cache_control(private=True)
def download(request, pk):
    """Send the file that the user's own job has written; staff don't get it either."""
    return downloads.send(get_object_or_404(Job, pk=pk, owner=request.user))


def _jobs_page(request, bound=None, status=200):
    page = Paginator(Job.objects.filter(owner=request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    unfinished = sum(not _shown(job).finished for job in page)
    said = f"{unfinished} unfinished" if unfinished else "all finished" if page else ""
    context = {"name": settings.PROJECT_NAME, "page": page, "unfinished": unfinished, "said": said}
    if request.htmx:
        return render(request, "jobs/_list.html", context)
    kinds = registry.offered()
    context["forms"] = [(kind, bound if bound and bound.kind == kind else _form_of(kind)) for kind in kinds]
    return render(request, "jobs/jobs.html", context, status=status)


def _form_of(kind, data=None, files=None):
    """Return the kind's form with a hidden key of its own, by which the same form sent twice is one job."""
    # Without autocomplete, or Firefox keeps the old key when the page is reloaded.
    key = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput({"autocomplete": "off"}))
    form = type(kind.form.__name__, (kind.form,), {"key": key, "kind": kind})
    return form(data, files, auto_id=f"{kind.name}-%s")


def _shown(job):
    """Return the job with what its row on the page says."""
    job.short_arguments, job.short_result = _short(_without_folder(job)), _short(job.result)
    job.download = downloads.name_of(job)
    job.took = _duration(job.finished_at - job.started_at) if job.finished and job.started_at else ""
    return job


def _without_folder(job) -> dict:
    """Return the job's arguments, files by their names alone: where they lie says nothing to people."""
    folder = f"jobs/{job.pk}/"
    return {
        name: value.removeprefix(folder) if isinstance(value, str) else value for name, value in job.arguments.items()
    }


def _short(value) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{name} = {_short(inner)}" for name, inner in value.items())
    else:
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return Truncator(text).chars(80)


def _json(value) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _duration(time) -> str:
    minutes, seconds = divmod(time.total_seconds(), 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"
