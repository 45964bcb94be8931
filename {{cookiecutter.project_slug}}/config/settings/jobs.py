"""Settings of the job engine (jobs/)."""

# A worker renews the lease of its job three times within this time (seconds). When the lease expires, because the
# worker has died, another worker gets the job. A shorter lease brings the job back sooner; a longer one lets a worker
# hang for a moment without losing its job.
JOBS_LEASE_SECONDS = 60
# A job that still waits this long (seconds) after it was published, and has no message in the broker, is published
# again.
JOBS_REPUBLISH_AFTER_SECONDS = 30
# Finished jobs and their files are deleted after this many days, by jobs.tasks.clean_up or `manage.py clean_up_jobs`.
JOBS_RETENTION_DAYS = 7
