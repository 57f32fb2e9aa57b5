// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of the host's own that change namespaces or the controller: from whoever sends
 * one through nvme-core (an ioctl, io_uring, an NVMe target) to the rest of the module,
 * before it is sent and when it is over.
 *
 * nvme_init_request() sees each command that is not file-system I/O, with its queue, while
 * nothing is held but the request itself.  When it is over is seen at the request: a
 * second reference is taken, as blk-mq's own walks over its tags do, and a work item looks
 * whether it is the last one left.
 *
 * Owns the list of these requests, under sent_lock (a leaf).  Called by hooks.c and
 * bind.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/slab.h>

#include "priv.h"

/* How soon the end of such a command is noticed; arbitrary. */
#define LIOV_SENT_MS	20

/**
 * struct liov_sent - a command that has been told of
 * @node:   sent
 * @req:    with our reference
 * @cookie: from @command
 */
struct liov_sent {
	struct list_head node;
	struct request *req;
	void *cookie;
};

static void sent_look(struct work_struct *work);

static DEFINE_SPINLOCK(sent_lock);
static LIST_HEAD(sent);
static DECLARE_DELAYED_WORK(sent_work, sent_look);

/**
 * liov_host_watches - may a command of this kind be of interest?
 * @cmd: the command; whether it is an admin command is not known
 *
 * Context: any, from ftrace.
 * Return: true if liov_host_command() should see it.
 */
bool notrace liov_host_watches(const struct nvme_command *cmd)
{
	switch (cmd->common.opcode) {
	case nvme_admin_ns_mgmt:
	case nvme_admin_activate_fw:
	case nvme_admin_ns_attach:
	case nvme_admin_format_nvm:
	case nvme_admin_sanitize_nvm:
		return true;
	default:
		return false;
	}
}

/**
 * liov_host_command - somebody is about to send such a command
 * @req: its request, allocated and not yet started
 * @cmd: the command
 *
 * Context: may sleep, for long.
 */
void liov_host_command(struct request *req, const struct nvme_command *cmd)
{
	struct liov_hostp *p = liov_host_of_queue(req->q);
	struct liov_sent *s;
	void *cookie;

	if (!p)
		return;
	cookie = liov_ops->command(&p->h, cmd);
	liov_host_put(p);
	if (!cookie)
		return;
	s = kzalloc(sizeof(*s), GFP_KERNEL | __GFP_NOFAIL);
	s->req = req;
	s->cookie = cookie;
	atomic_inc(&req->ref);
	spin_lock(&sent_lock);
	list_add_tail(&s->node, &sent);
	spin_unlock(&sent_lock);
	queue_delayed_work(liov_host_wq, &sent_work, msecs_to_jiffies(LIOV_SENT_MS));
}

/* One that is over, or any; out of the list. */
static struct liov_sent *sent_take(bool any)
{
	struct liov_sent *s, *found = NULL;

	spin_lock(&sent_lock);
	list_for_each_entry(s, &sent, node) {
		/* Acquire: its sender's last use came before. */
		if (any || atomic_read_acquire(&s->req->ref) == 1) {
			list_del(&s->node);
			found = s;
			break;
		}
	}
	spin_unlock(&sent_lock);
	return found;
}

/* Not by blk_mq_free_request() unless it is the last: that marks the request as idle. */
static void sent_end(struct liov_sent *s)
{
	if (!atomic_add_unless(&s->req->ref, -1, 1))
		blk_mq_free_request(s->req);
	liov_ops->command_over(s->cookie);
	kfree(s);
}

static void sent_look(struct work_struct *work)
{
	struct liov_sent *s;
	bool more;

	while ((s = sent_take(false)))
		sent_end(s);
	spin_lock(&sent_lock);
	more = !list_empty(&sent);
	spin_unlock(&sent_lock);
	if (more)
		queue_delayed_work(liov_host_wq, &sent_work, msecs_to_jiffies(LIOV_SENT_MS));
}

/**
 * liov_host_watch_exit - let go of commands that are still on their way
 *
 * With the hooks gone, so that no more come.
 *
 * Context: may sleep.
 */
void liov_host_watch_exit(void)
{
	struct liov_sent *s;

	cancel_delayed_work_sync(&sent_work);
	while ((s = sent_take(true)))
		sent_end(s);
}
