"""Settings of the job engine (jobs/)."""

# A worker renews the lease of its job three times within this time (seconds). When the lease expires, because the
# worker has died, another worker gets the job. A shorter lease brings the job back sooner; a longer one lets a worker
# hang for a moment without losing its job.
JOBS_LEASE_SECONDS = 60
# How many jobs wait in the broker, in each queue, for each process or thread of its workers: WORKER_POOLS in
# capacity.py. If the workers take more than that in a second, because the jobs are short, the broker gets as many as
# they take in a second. All others wait in the database, where owners take turns. With a larger value, a new job waits
# longer behind the jobs of others.
JOBS_MESSAGES_PER_PROCESS = 4
# When a job has succeeded, its worker starts further ones of the same kind and owner without a message for each, until
# this time (seconds) has passed since it took the message. So short jobs cost less. With a larger value, others wait
# longer.
JOBS_TURN_SECONDS = 0.2
# A job that still waits this long (seconds) after it was published, and has no message in the broker, is published
# again.
JOBS_REPUBLISH_AFTER_SECONDS = 30
# A job that still waits this long (seconds) after it was published is published again, whatever the broker has. This
# costs a message that a worker ignores, if the job only waited for a busy worker.
JOBS_REPUBLISH_ALWAYS_AFTER_SECONDS = 600
# Finished jobs and their files are deleted after this many days, by jobs.tasks.clean_up or `manage.py clean_up_jobs`.
JOBS_RETENTION_DAYS = 7
