// SPDX-License-Identifier: GPL-2.0
/*
 * Jobs: what vCPUs and interrupts leave of a guest's queues is done by a thread of the
 * process that has the device open.
 *
 * A guest can make such work without end.  In a thread of its own VM it has the weight, the
 * CPUs, the memory and the limits of that VM (cgroups, nice, affinity, as the thread that
 * opened the device had them), and whoever looks who needs the CPU finds it there; a kworker
 * would be one more thread of ordinary weight, for each tenant who is busy enough.  It is
 * what the kernel made vhost tasks for.
 *
 * Owns liov_instance.jobs and struct liov_worker, the thread, which all devices share that a
 * process has open.  A job belongs to its file, which also cancels it.  Jobs of an instance
 * run one at a time, in the order in which they were queued; each is bounded; instances of
 * one worker take turns.
 *
 * The thread goes after the close of the last device, or when its process is killed or
 * executes another program while a device stays open in other hands: from then on a work item
 * of each instance does the same.  That is also so on kernels without CONFIG_VHOST_TASK.  A
 * close does not wait for its end, since its process may be stopped or frozen and somebody
 * else may close, or the thread itself: a page fault in a job can leave it the last reference
 * to a file.
 *
 * Who may run at once: liov_job_queue() anywhere; one runner of an instance's jobs, which is
 * the thread, or the work item after the thread has ended; liov_job_cancel() in any process;
 * opens and closes of other instances; the thread's end.  liov_jobs.lock covers an
 * instance's jobs, and liov_worker.lock, inside it, whose turn it is and whether the thread
 * is there: whoever wakes it holds that, so that it is not freed meanwhile.  Both are held
 * for a few instructions and a wake-up, also in hard interrupts and below hooks that run with
 * preemption off: raw spinlocks.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include "compat.h"
#include "pool/pool.h"

/**
 * struct liov_worker - the thread of a process
 * @node:    liov_workers; with @users under liov_workers_lock
 * @users:   devices that it has open
 * @mm:      whose process, while it @works; not to be looked into
 * @task:    the thread
 * @lock:    all below
 * @ready:   struct liov_jobs that have some
 * @serving: the ones of which it does one
 * @idle:    woken when that is over
 * @works:   it does jobs; false once it was killed or is about to be stopped
 * @stop:    ends it and frees this
 */
struct liov_worker {
	struct list_head	node;
	unsigned int		users;
	struct mm_struct	*mm;
	struct vhost_task	*task;
	raw_spinlock_t		lock;	/* as said above */
	struct list_head	ready;
	struct liov_jobs	*serving;
	wait_queue_head_t	idle;
	bool			works;
	struct work_struct	stop;
};

/*
 * A stop waits for as long as the thread's process is stopped or frozen.  Who has many of
 * these keeps others' threads, which do nothing more, and no more kworkers than that.
 */
#define LIOV_WORKER_STOPS	16

static struct workqueue_struct *liov_worker_wq;

static DEFINE_SPINLOCK(liov_workers_lock);
static LIST_HEAD(liov_workers);

static struct liov_instance *liov_jobs_inst(struct liov_jobs *j)
{
	return liov_env_inst(container_of(j, struct liov_env, jobs));
}

/* ---- jobs of an instance ---- */

/* Has the thread come to them.  Returns false if there is none. */
static bool liov_worker_wake(struct liov_worker *w, struct liov_jobs *j)
{
	unsigned long flags;
	bool works;

	raw_spin_lock_irqsave(&w->lock, flags);
	works = w->works;
	if (works && list_empty(&j->ready)) {
		list_add_tail(&j->ready, &w->ready);
		vhost_task_wake(w->task);
	}
	raw_spin_unlock_irqrestore(&w->lock, flags);
	return works;
}

/**
 * liov_job_queue() - have a job done soon; nothing happens if it is queued
 * @inst: instance, open
 * @job:  job of its
 *
 * One that is being done at the moment is done once more.  Any context.
 */
void liov_job_queue(struct liov_instance *inst, struct liov_job *job)
{
	struct liov_jobs *j = &liov_env(inst)->jobs;
	unsigned long flags;

	raw_spin_lock_irqsave(&j->lock, flags);
	if (list_empty(&job->node)) {
		list_add_tail(&job->node, &j->queued);
		if (unlikely(!j->worker || !liov_worker_wake(j->worker, j)))
			liov_queue_work(inst, &j->work);
	}
	raw_spin_unlock_irqrestore(&j->lock, flags);
}

/* One job.  Returns whether there are more. */
static bool liov_jobs_do_one(struct liov_jobs *j)
{
	struct liov_job *job;
	bool more;

	raw_spin_lock_irq(&j->lock);
	/* While the thread is being made the work item may be at it: it goes on. */
	job = j->running ? NULL : list_first_entry_or_null(&j->queued, struct liov_job, node);
	if (job) {
		list_del_init(&job->node);
		WRITE_ONCE(j->running, job);
	}
	raw_spin_unlock_irq(&j->lock);
	if (!job)
		return false;

	job->fn(job);

	raw_spin_lock_irq(&j->lock);
	WRITE_ONCE(j->running, NULL);
	more = !list_empty(&j->queued);
	raw_spin_unlock_irq(&j->lock);
	/* A full barrier is inside. */
	if (wq_has_sleeper(&j->idle))
		wake_up_all(&j->idle);
	/* Who always has jobs does not sleep. */
	cond_resched_tasks_rcu_qs();
	return more;
}

static void liov_jobs_work(struct work_struct *work)
{
	struct liov_jobs *j = container_of(work, struct liov_jobs, work);

	while (liov_jobs_do_one(j))
		;
}

/**
 * liov_job_cancel() - a job is not done any more
 * @inst: instance
 * @job:  job of its; nobody queues it again without end
 *
 * Waits until it is over if it is being done, not for others.  May sleep; not in a job.
 */
void liov_job_cancel(struct liov_instance *inst, struct liov_job *job)
{
	struct liov_jobs *j = &liov_env(inst)->jobs;
	bool running;

	might_sleep();
	do {
		raw_spin_lock_irq(&j->lock);
		list_del_init(&job->node);
		running = j->running == job;
		raw_spin_unlock_irq(&j->lock);
		if (running)
			wait_event(j->idle, READ_ONCE(j->running) != job);
	} while (running);
}

/**
 * liov_sq_cancel() - nothing of a queue's that waits is done any more
 * @sq: queue without a ring, or not live: its job finds nothing to do
 *
 * May sleep; not in a job.
 */
void liov_sq_cancel(struct liov_sq *sq)
{
	/* It queues the job. */
	cancel_delayed_work_sync(&sq->work);
	liov_job_cancel(sq->inst, &sq->job);
}

/* ---- the thread of a process ---- */

/* One job of those whose turn it is.  Returns whether there was one. */
static bool liov_worker_run(void *data)
{
	struct liov_worker *w = data;
	struct liov_jobs *j;
	bool more;

	raw_spin_lock_irq(&w->lock);
	j = list_first_entry_or_null(&w->ready, struct liov_jobs, ready);
	if (j)
		list_del_init(&j->ready);
	WRITE_ONCE(w->serving, j);
	raw_spin_unlock_irq(&w->lock);
	if (!j)
		return false;

	/* A vhost task looks for work with the state it will sleep in. */
	__set_current_state(TASK_RUNNING);
	more = liov_jobs_do_one(j);

	raw_spin_lock_irq(&w->lock);
	if (more && list_empty(&j->ready))
		list_add_tail(&j->ready, &w->ready);
	WRITE_ONCE(w->serving, NULL);
	raw_spin_unlock_irq(&w->lock);
	if (wq_has_sleeper(&w->idle))
		wake_up_all(&w->idle);
	/* It does not return to user mode, where that is done: have the signals looked at. */
	if (unlikely(task_work_pending(current)))
		set_thread_flag(TIF_NOTIFY_SIGNAL);
	return true;
}

/* In the thread, whose process has been killed; it runs no job any more. */
static void liov_worker_killed(void *data)
{
	struct liov_worker *w = data;
	struct liov_jobs *j, *next;

	raw_spin_lock_irq(&w->lock);
	w->works = false;
	list_for_each_entry_safe(j, next, &w->ready, ready) {
		list_del_init(&j->ready);
		liov_queue_work(liov_jobs_inst(j), &j->work);
	}
	raw_spin_unlock_irq(&w->lock);
}

/* Is it this process's?  A thread that is there has its mm. */
static bool liov_worker_is_ours(struct liov_worker *w)
{
	bool ours;

	raw_spin_lock_irq(&w->lock);
	ours = w->works && w->mm == current->mm;
	raw_spin_unlock_irq(&w->lock);
	return ours;
}

/* The one that this process has, for one more device; NULL if it has none. */
static struct liov_worker *liov_worker_get(void)
{
	struct liov_worker *w, *found = NULL;

	spin_lock(&liov_workers_lock);
	list_for_each_entry(w, &liov_workers, node) {
		if (liov_worker_is_ours(w)) {
			found = w;
			w->users++;
			break;
		}
	}
	spin_unlock(&liov_workers_lock);
	return found;
}

static void liov_worker_stop(struct work_struct *work)
{
	struct liov_worker *w = container_of(work, struct liov_worker, stop);

	/* From here on it is not woken. */
	raw_spin_lock_irq(&w->lock);
	w->works = false;
	raw_spin_unlock_irq(&w->lock);
	vhost_task_stop(w->task);
	kfree(w);
}

/* Two opens at once may make two of them, which does no harm. */
static struct liov_worker *liov_worker_make(void)
{
	struct liov_worker *w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	struct vhost_task *task;

	if (!w)
		return ERR_PTR(-ENOMEM);
	raw_spin_lock_init(&w->lock);
	INIT_LIST_HEAD(&w->ready);
	init_waitqueue_head(&w->idle);
	INIT_WORK(&w->stop, liov_worker_stop);
	w->mm = current->mm;
	w->users = 1;
	task = vhost_task_create(liov_worker_run, liov_worker_killed, w, "lightiov");
	if (IS_ERR_OR_NULL(task)) {
		kfree(w);
		/* Without a reason before 6.14. */
		return task ? ERR_CAST(task) : ERR_PTR(-ENOMEM);
	}
	w->task = task;
	w->works = true;
	vhost_task_start(task);
	spin_lock(&liov_workers_lock);
	list_add(&w->node, &liov_workers);
	spin_unlock(&liov_workers_lock);
	return w;
}

/**
 * liov_worker_open() - the device is opened: have a thread for it, if its mode has jobs
 * @inst: instance that is open; nobody uses it yet, and no lock of ours is held
 *
 * In a thread of the user's, of whose kind a new one is.  May sleep.
 *
 * Return: 0; what the kernel says when it makes no thread, -ENOMEM if it does not: no memory,
 * or no more threads for this user (RLIMIT_NPROC, pids.max); -ERESTARTNOINTR: a signal came
 * first, and user space does not notice.
 */
int liov_worker_open(struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	struct liov_worker *w;

	if (!env->mode->jobs || !liov_can_have_worker())
		return 0;
	w = liov_worker_get() ?: liov_worker_make();
	if (IS_ERR(w)) {
		if (signal_pending(current))
			return -ERESTARTNOINTR;
		liov_guest_warn(inst, "no thread for its queues (%ld); raise RLIMIT_NPROC or pids.max of who opens it, or free memory\n",
				PTR_ERR(w));
		return PTR_ERR(w);
	}
	raw_spin_lock_irq(&env->jobs.lock);
	env->jobs.worker = w;
	raw_spin_unlock_irq(&env->jobs.lock);
	return 0;
}

/* The worker does not look at them any more. */
static void liov_worker_leave(struct liov_worker *w, struct liov_jobs *j)
{
	bool serving;

	/* Once more: it puts back what had more jobs when it looked. */
	do {
		raw_spin_lock_irq(&w->lock);
		list_del_init(&j->ready);
		serving = w->serving == j;
		raw_spin_unlock_irq(&w->lock);
		if (serving)
			wait_event(w->idle, READ_ONCE(w->serving) != j);
	} while (serving);
}

static void liov_worker_put(struct liov_worker *w)
{
	bool last;

	spin_lock(&liov_workers_lock);
	last = !--w->users;
	if (last)
		list_del(&w->node);
	spin_unlock(&liov_workers_lock);
	if (last)
		queue_work(liov_worker_wq, &w->stop);
}

/**
 * liov_worker_close() - the device was closed
 * @inst: instance; its jobs are cancelled and nobody queues one; no lock of ours is held
 *
 * May sleep.
 */
void liov_worker_close(struct liov_instance *inst)
{
	struct liov_jobs *j = &liov_env(inst)->jobs;
	struct liov_worker *w;

	raw_spin_lock_irq(&j->lock);
	w = j->worker;
	j->worker = NULL;
	raw_spin_unlock_irq(&j->lock);
	if (w) {
		liov_worker_leave(w, j);
		liov_worker_put(w);
	}
	cancel_work_sync(&j->work);
	/* A vCPU may have been late with one: it is not the next user's. */
	raw_spin_lock_irq(&j->lock);
	while (!list_empty(&j->queued))
		list_del_init(j->queued.next);
	raw_spin_unlock_irq(&j->lock);
}

/**
 * liov_jobs_init() - once, at creation of the instance
 * @inst: instance
 */
void liov_jobs_init(struct liov_instance *inst)
{
	struct liov_jobs *j = &liov_env(inst)->jobs;

	raw_spin_lock_init(&j->lock);
	INIT_LIST_HEAD(&j->queued);
	INIT_LIST_HEAD(&j->ready);
	init_waitqueue_head(&j->idle);
	INIT_WORK(&j->work, liov_jobs_work);
}

/**
 * liov_worker_init() - once, when the module is loaded
 *
 * Return: 0 or -ENOMEM.
 */
int __init liov_worker_init(void)
{
	liov_worker_wq = alloc_workqueue("lightiov-stop", WQ_UNBOUND, LIOV_WORKER_STOPS);
	return liov_worker_wq ? 0 : -ENOMEM;
}

/**
 * liov_worker_exit() - once, when it is unloaded, and no device is open
 *
 * Waits for the threads' ends, and so for who is stopped or frozen to go on.
 */
void liov_worker_exit(void)
{
	destroy_workqueue(liov_worker_wq);
}
