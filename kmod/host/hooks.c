// SPDX-License-Identifier: GPL-2.0
/*
 * What touches nvme-core: the redirected calls, and the questions asked of a
 * controller without its private structures.  Of the folder it calls nobody but by
 * struct liov_hook_ops.
 *
 * nvme.ko and nvme-core are two modules, so a call from the one to the other is
 * never inlined (where they are none, see liov_hooks_may_miss()), nor is one from
 * another file of nvme-core's, unless it was built with LTO; and ftrace can
 * redirect it (FTRACE_OPS_FL_IPMODIFY, as live patching does).  A kprobe would not
 * do: its handler may not sleep, and free_irq() does.  Each wrapper runs in
 * nvme.ko's context, calls the real function from this module - by which
 * liov_redirect() knows to let the call pass - and must not end in a tail call,
 * which would hide that.
 *
 * The same functions serve the tcp, rdma and fc drivers: a wrapper acts only
 * on a controller that hosts.c knows.
 *
 * Locks: learn_lock serialises users of the one kprobe; owner_lock guards the
 * writers of nvme_owner and nvme_bound, which liov_redirect() reads under RCU
 * (free_module() waits for a grace period after the last unbind).
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "priv.h"

static int match_ctrl(struct device *dev, void *data)
{
	struct device **found = data;

	if (!dev->class || strcmp(dev->class->name, "nvme"))
		return 0;
	*found = get_device(dev);
	return 1;
}

/**
 * liov_ctrl_get - the nvme class device of a PCI function
 * @pdev: the function
 *
 * dev_get_drvdata() of it is the struct nvme_ctrl.  The caller drops the
 * reference with put_device() before it returns to its own caller: kept past
 * ``rmmod nvme`` it makes nvme_free_ctrl() run in freed memory.
 *
 * Context: may sleep.
 * Return: the device with a reference, or NULL if there is none.
 */
struct device *liov_ctrl_get(struct pci_dev *pdev)
{
	struct device *found = NULL;

	device_for_each_child(&pdev->dev, &found, match_ctrl);
	return found;
}

/* The text of an attribute of the nvme class device, as sysfs would show it. */
static ssize_t ctrl_show(struct device *cdev, const char *name, char *page)
{
	const struct attribute_group **groups = cdev->groups;
	struct device_attribute *da;
	int i;

	for (; groups && *groups; groups++) {
		for (i = 0; (*groups)->attrs && (*groups)->attrs[i]; i++) {
			if (strcmp((*groups)->attrs[i]->name, name))
				continue;
			da = container_of((*groups)->attrs[i],
					  struct device_attribute, attr);
			return da->show ? da->show(cdev, da, page) : -EIO;
		}
	}
	return -ENOENT;
}

/* Must not fail: the gate would stay closed, or nobody be told that it will. */
static bool ctrl_state_is(struct liov_hostp *p, struct device *cdev, const char *state)
{
	guard(mutex)(&p->page_lock);
	return ctrl_show(cdev, "state", p->page) > 0 && sysfs_streq(p->page, state);
}

/**
 * liov_ctrl_is_live - does nvme-core hold the controller live?
 * @p:    the host
 * @cdev: from liov_ctrl_get()
 *
 * nvme.ko leaves the state "live" before it quiesces the I/O queues for a
 * reset or a removal; so "live" read with the hooks in place means that
 * nvme_quiesce_io_queues() is still to be seen.
 *
 * Context: may sleep.
 * Return: true if it is.
 */
bool liov_ctrl_is_live(struct liov_hostp *p, struct device *cdev)
{
	return ctrl_state_is(p, cdev, "live");
}

/**
 * liov_ctrl_is_given_up - has nvme.ko given the controller up?
 * @p:    the host
 * @cdev: from liov_ctrl_get()
 *
 * When a reset fails nvme.ko takes the controller down for the last time in the
 * state "deleting", and leaves it "dead".  A removal looks the same.
 *
 * Context: may sleep.
 * Return: true if it has.
 */
bool liov_ctrl_is_given_up(struct liov_hostp *p, struct device *cdev)
{
	return ctrl_state_is(p, cdev, "deleting") || ctrl_state_is(p, cdev, "dead");
}

/**
 * liov_ctrl_queue_count - how many I/O queues nvme.ko has set up at most
 * @p:    the host
 * @cdev: from liov_ctrl_get()
 *
 * Context: may sleep.
 * Return: the number, without the admin queue, or a negative errno.
 */
int liov_ctrl_queue_count(struct liov_hostp *p, struct device *cdev)
{
	int count;

	guard(mutex)(&p->page_lock);
	if (ctrl_show(cdev, "queue_count", p->page) <= 0 ||
	    kstrtoint(strim(p->page), 10, &count))
		return -ENOENT;
	return max(count - 1, 0);
}

static int liov_hooks_refuse(void)
{
	pr_err("this kernel cannot redirect function calls: rebuild it with CONFIG_DYNAMIC_FTRACE_WITH_ARGS and CONFIG_KPROBES\n");
	return -EOPNOTSUPP;
}

/**
 * liov_hooks_may_miss - may a call of the driver's not be redirected?
 * @owner: the driver's module, NULL if it is built in
 *
 * Built into the kernel it is a part of the same program as nvme-core, and a compiler
 * that optimises across files may inline the one into the other.  GCC does not.
 *
 * Context: any.
 * Return: true if that has to be found out.
 */
bool liov_hooks_may_miss(struct module *owner)
{
	return (!owner && IS_ENABLED(CONFIG_LTO_CLANG)) || liov_lacks(LIOV_LACK_SEPARATE_NVME);
}

#if LIOV_HAVE_HOOKS

static DEFINE_MUTEX(learn_lock);
static struct task_struct *learner;
static struct request_queue *learned;

static int learn_pre(struct kprobe *kp, struct pt_regs *regs)
{
	struct nvme_command *cmd;

	if (current != READ_ONCE(learner))
		return 0;
	cmd = (struct nvme_command *)regs_get_kernel_argument(regs, 1);
	if (cmd->common.opcode == nvme_admin_get_features)
		learned = (struct request_queue *)
			regs_get_kernel_argument(regs, 0);
	return 0;
}

static struct kprobe learn_kp;

/**
 * liov_ctrl_learn - the granted queues and, if not known, the admin queue
 * @ctrl:    the controller
 * @q:       its admin request queue; looked for if NULL
 * @granted: I/O queue pairs the controller has granted
 *
 * Asks Get Features (Number of Queues).  nvme_get_features() hands the admin
 * queue to the exported __nvme_submit_sync_cmd(), where a kprobe that lives as
 * long as this call sees it.
 *
 * Context: may sleep; in a section (it sends an admin command).
 * Return: 0 or a negative errno.
 */
int liov_ctrl_learn(struct nvme_ctrl *ctrl, struct request_queue **q,
		    u16 *granted)
{
	u32 result = 0;
	int rc;

	mutex_lock(&learn_lock);
	if (!*q) {
		memset(&learn_kp, 0, sizeof(learn_kp));
		learn_kp.symbol_name = "__nvme_submit_sync_cmd";
		learn_kp.pre_handler = learn_pre;
		learned = NULL;
		WRITE_ONCE(learner, current);
		rc = register_kprobe(&learn_kp);
		if (rc) {
			pr_err("cannot probe __nvme_submit_sync_cmd (%d): see /sys/kernel/debug/kprobes\n",
			       rc);
			goto out;
		}
	}
	rc = nvme_get_features(ctrl, NVME_FEAT_NUM_QUEUES, 0, NULL, 0, &result);
	if (!*q) {
		unregister_kprobe(&learn_kp);
		*q = learned;
	}
	if (rc > 0)
		rc = -EIO;
	else if (!rc && !*q)
		rc = -ENOENT;
	/* Two 0's based values: CQs above SQs (Base 2.0, 5.27.1.5). */
	if (!rc)
		*granted = min(min(result & 0xffff, result >> 16) + 1, 0xffffU);
out:
	WRITE_ONCE(learner, NULL);
	mutex_unlock(&learn_lock);
	return rc;
}

static DEFINE_MUTEX(owner_lock);
static struct module *nvme_owner;
static unsigned int nvme_bound;

/**
 * liov_hooks_bind - nvme.ko is about to bind one more function
 * @owner: the driver's module, NULL if it is built in
 *
 * Context: may sleep.  Undone by liov_hooks_unbind().
 */
void liov_hooks_bind(struct module *owner)
{
	mutex_lock(&owner_lock);
	WRITE_ONCE(nvme_owner, owner);
	WRITE_ONCE(nvme_bound, nvme_bound + 1);
	mutex_unlock(&owner_lock);
}

/**
 * liov_hooks_unbind - nvme.ko has let one function go
 *
 * Context: may sleep.
 */
void liov_hooks_unbind(void)
{
	mutex_lock(&owner_lock);
	WRITE_ONCE(nvme_bound, nvme_bound - 1);
	if (!nvme_bound)
		WRITE_ONCE(nvme_owner, NULL);
	mutex_unlock(&owner_lock);
}

/*
 * nvme_fw_act_work() of nvme-core quiesces the I/O queues too, and starts them
 * again without nvme_start_ctrl(): no reset, so none of our business.
 */
static bool notrace from_pci_driver(unsigned long caller)
{
	char sym[sizeof("nvme_fw_act_work")];
	struct module *owner;
	bool ret;

	if (!READ_ONCE(nvme_bound))
		return false;
	rcu_read_lock();
	owner = READ_ONCE(nvme_owner);
	ret = owner && within_module(caller, owner);
	rcu_read_unlock();
	if (owner)
		return ret;
	/* Built in: no module tells the driver from the core. */
	snprintf(sym, sizeof(sym), "%ps", (void *)caller);
	return strcmp(sym, "nvme_fw_act_work");
}

static bool notrace filter_quiesce(unsigned long caller,
				   struct ftrace_regs *fregs)
{
	return from_pci_driver(caller);
}

/* On the way of every synchronous command: let all but one pass at once. */
static bool notrace filter_dbbuf(unsigned long caller,
				 struct ftrace_regs *fregs)
{
	struct nvme_command *cmd;

	cmd = (struct nvme_command *)ftrace_regs_get_argument(fregs, 1);
	return cmd->common.opcode == nvme_admin_dbbuf &&
		from_pci_driver(caller);
}

/* Who is told of the calls; set before any is redirected. */
static const struct liov_hook_ops *hook_ops;

/* On the way of every command that is not file-system I/O. */
static bool notrace filter_command(unsigned long caller, struct ftrace_regs *fregs)
{
	return hook_ops->watches((struct nvme_command *)ftrace_regs_get_argument(fregs, 1));
}

/* Wrappers that have been entered and not left. */
static atomic_t inflight = ATOMIC_INIT(0);

static noinline int wrap_set_queue_count(struct nvme_ctrl *ctrl, int *count)
{
	struct liov_hostp *p;
	int rc, asked, want = *count;

	atomic_inc(&inflight);
	p = hook_ops->get(ctrl);
	if (!p || want <= 0) {
		rc = nvme_set_queue_count(ctrl, count);
		goto out;
	}
	asked = hook_ops->ask(p, want);
	*count = asked;
	rc = nvme_set_queue_count(ctrl, count);
	if (!rc && !*count && asked != want) {
		/* Refused outright: perhaps only what we added was too much. */
		*count = want;
		rc = nvme_set_queue_count(ctrl, count);
	}
	if (!rc && *count > 0)
		*count = hook_ops->answer(p, want, *count);
out:
	if (p)
		hook_ops->put(p);
	atomic_dec(&inflight);
	barrier();
	return rc;
}

static noinline void wrap_quiesce_io_queues(struct nvme_ctrl *ctrl)
{
	struct liov_hostp *p;

	atomic_inc(&inflight);
	p = hook_ops->get(ctrl);
	/* nvme.ko has begun to freeze them, and waits like this before a shutdown. */
	if (p && hook_ops->drains(p) &&
	    nvme_wait_freeze_timeout(ctrl, msecs_to_jiffies(LIOV_SHRINK_MS)) <= 0)
		pr_warn("the host's I/O did not end in time before it may get fewer queues; it may see I/O errors\n");
	if (p)
		hook_ops->quiesce(p);
	nvme_quiesce_io_queues(ctrl);
	if (p)
		hook_ops->put(p);
	atomic_dec(&inflight);
	barrier();
}

static noinline void wrap_cancel_admin_tagset(struct nvme_ctrl *ctrl)
{
	struct liov_hostp *p;

	atomic_inc(&inflight);
	nvme_cancel_admin_tagset(ctrl);
	p = hook_ops->get(ctrl);
	if (p) {
		hook_ops->cancelled(p);
		hook_ops->put(p);
	}
	atomic_dec(&inflight);
	barrier();
}

static noinline void wrap_start_ctrl(struct nvme_ctrl *ctrl)
{
	struct liov_hostp *p;
	unsigned int seq = 0;
	bool live;

	atomic_inc(&inflight);
	p = hook_ops->get(ctrl);
	live = p && hook_ops->start(p, &seq);
	nvme_start_ctrl(ctrl);
	if (live)
		hook_ops->started(p, seq);
	if (p)
		hook_ops->put(p);
	atomic_dec(&inflight);
	barrier();
}

/*
 * With shadow doorbells on, a controller ignores MMIO doorbells - those of the
 * instances' queues too.  nvme.ko takes a refusal with one warning and goes on.
 */
static noinline int wrap_submit_dbbuf(struct request_queue *q,
				      struct nvme_command *cmd, void *buffer,
				      unsigned int bufflen)
{
	int rc = NVME_SC_INVALID_OPCODE;

	atomic_inc(&inflight);
	if (hook_ops->shadows(q))
		rc = nvme_submit_sync_cmd(q, cmd, buffer, bufflen);
	else
		pr_info_once("Doorbell Buffer Config is refused to the nvme driver, it would silence the doorbells of instances; \"unable to set dbbuf\" is expected\n");
	atomic_dec(&inflight);
	barrier();
	return rc;
}

/* A command of the host's that guests must be protected from first, see watch.c. */
static noinline void wrap_init_request(struct request *req, struct nvme_command *cmd)
{
	atomic_inc(&inflight);
	hook_ops->command(req, cmd);
	nvme_init_request(req, cmd);
	atomic_dec(&inflight);
	barrier();
}

struct liov_hook {
	const char *name;
	unsigned long target;
	void *wrapper;
	bool (*filter)(unsigned long caller, struct ftrace_regs *fregs);
	struct ftrace_ops ops;
	bool on;
};

#define LIOV_HOOK(_target, _wrapper, _filter) {		\
	.name = #_target,				\
	.target = (unsigned long)(_target),		\
	.wrapper = (_wrapper),				\
	.filter = (_filter),				\
}

static struct liov_hook hooks[] = {
	LIOV_HOOK(nvme_submit_sync_cmd, wrap_submit_dbbuf, filter_dbbuf),
	LIOV_HOOK(nvme_set_queue_count, wrap_set_queue_count, NULL),
	LIOV_HOOK(nvme_cancel_admin_tagset, wrap_cancel_admin_tagset, NULL),
	LIOV_HOOK(nvme_quiesce_io_queues, wrap_quiesce_io_queues,
		  filter_quiesce),
	/* No filter by caller: nvme_reset_work() may reach it by a tail call. */
	LIOV_HOOK(nvme_start_ctrl, wrap_start_ctrl, NULL),
	LIOV_HOOK(nvme_init_request, wrap_init_request, filter_command),
};

static void notrace liov_redirect(unsigned long ip, unsigned long parent_ip,
				  struct ftrace_ops *ops,
				  struct ftrace_regs *fregs)
{
	struct liov_hook *hook = container_of(ops, struct liov_hook, ops);

	if (within_module(parent_ip, THIS_MODULE))
		return;
	if (hook->filter && !hook->filter(parent_ip, fregs))
		return;
	ftrace_regs_set_instruction_pointer(fregs, (unsigned long)hook->wrapper);
}

static int hook_on(struct liov_hook *hook)
{
	int rc;

	hook->ops.func = liov_redirect;
	/* PERMANENT: kernel.ftrace_enabled=0 must not take the gate away. */
	hook->ops.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT |
			  FTRACE_OPS_FL_RECURSION;
	rc = ftrace_set_filter_ip(&hook->ops, hook->target, 0, 0);
	if (rc) {
		pr_err("%s cannot be traced (%d): this kernel's nvme-core was built without ftrace\n",
		       hook->name, rc);
		return rc;
	}
	rc = register_ftrace_function(&hook->ops);
	if (rc == -EBUSY)
		pr_err("%s cannot be redirected: either ftrace is off (sysctl kernel.ftrace_enabled=1) or a live patch owns the function (unload it)\n",
		       hook->name);
	else if (rc)
		pr_err("%s cannot be redirected (%d)\n", hook->name, rc);
	if (rc)
		ftrace_free_filter(&hook->ops);
	hook->on = !rc;
	return rc;
}

/**
 * liov_hooks_register - redirect nvme.ko's calls
 * @ops: who is told of them, until liov_hooks_unregister() has returned
 *
 * Context: may sleep.
 * Return: 0, -EOPNOTSUPP if this kernel cannot, -EBUSY if a live patch owns a
 * function or ftrace is off, another negative errno of ftrace.  The reason and
 * the remedy are in the log; nothing stays registered.
 */
int liov_hooks_register(const struct liov_hook_ops *ops)
{
	int i, rc;

	hook_ops = ops;
	if (liov_lacks(LIOV_LACK_IPMODIFY))
		return liov_hooks_refuse();
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		rc = hook_on(&hooks[i]);
		if (rc) {
			liov_hooks_unregister();
			return rc;
		}
	}
	if (IS_ENABLED(CONFIG_LTO_CLANG))
		pr_warn("this kernel was built with link-time optimisation: a Format or the like that the host sends to a namespace in use may not be seen; stop its guests first\n");
	return 0;
}

/**
 * liov_hooks_unregister - take the redirections back
 *
 * On return no task is inside a wrapper or on its way into one.
 *
 * Context: may sleep, for as long as a reset under way takes.
 */
void liov_hooks_unregister(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (!hooks[i].on)
			continue;
		unregister_ftrace_function(&hooks[i].ops);
		ftrace_free_filter(&hooks[i].ops);
		hooks[i].on = false;
	}
	/* Tasks between liov_redirect() and atomic_inc() ... */
	synchronize_rcu_tasks();
	/* ... those that sleep inside ... */
	while (atomic_read(&inflight))
		schedule_timeout_uninterruptible(1);
	/* ... and those between atomic_dec() and the return. */
	synchronize_rcu_tasks();
}

#else /* !LIOV_HAVE_HOOKS */

int liov_ctrl_learn(struct nvme_ctrl *ctrl, struct request_queue **q,
		    u16 *granted)
{
	return -EOPNOTSUPP;
}

void liov_hooks_bind(struct module *owner)
{
}

void liov_hooks_unbind(void)
{
}

int liov_hooks_register(const struct liov_hook_ops *ops)
{
	return liov_hooks_refuse();
}

void liov_hooks_unregister(void)
{
}

#endif /* LIOV_HAVE_HOOKS */
