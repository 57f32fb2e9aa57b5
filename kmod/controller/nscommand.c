// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of the host's that are on their way and keep guests from a namespace: format,
 * sanitize, delete, detach.  nswatch.c hears of them and stops who uses it; here is who has
 * to wait for their end.
 *
 * Owns the list of these commands.  commands_lock (spinlock) covers it, a leaf that is not
 * held when somebody waits.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "controller/controller.h"

/*
 * How long an open waits for the end of a command of the host's.  A drive may take hours for
 * one, but most need no second; arbitrary.
 */
#define LIOV_COMMAND_WAIT_MS	5000

static DEFINE_SPINLOCK(commands_lock);
static LIST_HEAD(commands);

/* Woken when one is over. */
static DECLARE_WAIT_QUEUE_HEAD(commands_wq);

/**
 * liov_subsystem_of() - which NVM subsystem is it?
 * @of: out
 * @id: of one of its controllers
 */
void liov_subsystem_of(struct liov_subsystem *of, const struct nvme_id_ctrl *id)
{
	memset(of, 0, sizeof(*of));
	of->vid = id->vid;
	memcpy(of->sn, id->sn, sizeof(of->sn));
	memcpy(of->mn, id->mn, sizeof(of->mn));
	memcpy(of->subnqn, id->subnqn, sizeof(of->subnqn));
}

/**
 * liov_subsystem_has() - is a controller of that NVM subsystem?
 * @of: subsystem
 * @p:  the controller's parent, which has been identified
 *
 * Return: whether it is.
 */
bool liov_subsystem_has(const struct liov_subsystem *of, const struct liov_parent *p)
{
	const struct nvme_id_ctrl *id = p->id;

	return of->vid == id->vid && !memcmp(of->sn, id->sn, sizeof(of->sn)) &&
	       !memcmp(of->mn, id->mn, sizeof(of->mn)) &&
	       !memcmp(of->subnqn, id->subnqn, sizeof(of->subnqn));
}

/**
 * liov_ns_command_is_about() - is it about that namespace?
 * @nc:   command
 * @nsid: the hardware's
 *
 * Return: whether it is, or about all.
 */
bool liov_ns_command_is_about(const struct liov_ns_command *nc, u32 nsid)
{
	return nc->nsid == NVME_NSID_ALL || nc->nsid == nsid;
}

/**
 * liov_ns_command_add() - from here on nobody may use the namespace
 * @nc: command, of effect LIOV_NS_TAKEN if that is so
 *
 * Does not sleep.
 */
void liov_ns_command_add(struct liov_ns_command *nc)
{
	spin_lock(&commands_lock);
	list_add_tail(&nc->node, &commands);
	spin_unlock(&commands_lock);
}

/**
 * liov_ns_command_del() - the command is over
 * @nc: command
 *
 * Does not sleep.
 */
void liov_ns_command_del(struct liov_ns_command *nc)
{
	spin_lock(&commands_lock);
	list_del(&nc->node);
	spin_unlock(&commands_lock);
}

/**
 * liov_ns_command_wake() - those that wait for its end may look
 *
 * Does not sleep.
 */
void liov_ns_command_wake(void)
{
	wake_up_all(&commands_wq);
}

/* The command that keeps a namespace from being used, NULL if there is none. */
static const char *liov_ns_busy(const struct liov_parent *p, u32 nsid)
{
	struct liov_ns_command *nc;
	const char *name = NULL;

	spin_lock(&commands_lock);
	list_for_each_entry(nc, &commands, node) {
		if (nc->effect == LIOV_NS_TAKEN && liov_ns_command_is_about(nc, nsid) &&
		    liov_subsystem_has(&nc->of, p))
			name = nc->name;
	}
	spin_unlock(&commands_lock);
	return name;
}

/**
 * liov_ns_is_free() - may the instance use its namespace, as far as the host is concerned?
 * @inst: open instance without queues; the caller holds its lock
 *
 * Asked again and again until it may; says so once.
 *
 * Return: false while a command of the host's is under way.
 */
bool liov_ns_is_free(struct liov_instance *inst)
{
	const char *name = liov_ns_busy(inst->parent, inst->backing.nsid);

	lockdep_assert_held(&inst->lock);
	if (name && !inst->watch.waits)
		liov_guest_warn(inst, "the guest's controller waits for the end of the host's %s\n",
				name);
	inst->watch.waits = name;
	return !name;
}

/**
 * liov_ns_wait_free() - the same for an open, or for a new backing: a little while
 * @inst: for whom; the caller holds its lock
 * @nsid: the hardware's
 *
 * May sleep, for LIOV_COMMAND_WAIT_MS at most.
 *
 * Return: 0, or -EBUSY after a line in the log.
 */
int liov_ns_wait_free(struct liov_instance *inst, u32 nsid)
{
	struct liov_parent *p = inst->parent;
	const char *name;

	if (wait_event_timeout(commands_wq, !liov_ns_busy(p, nsid),
			       msecs_to_jiffies(LIOV_COMMAND_WAIT_MS)))
		return 0;
	name = liov_ns_busy(p, nsid);
	if (!name)
		return 0;
	liov_open_warn(inst, "the host's %s on %s is not done with namespace %u; try again later\n",
		       name, pci_name(p->host->pdev), nsid);
	return -EBUSY;
}
