// SPDX-License-Identifier: GPL-2.0
/*
 * Admin commands that an instance needs of the drive, whose admin queue is the host's.
 *
 * Owns liov_instance.sent and liov_parent.aborts.  Called under liov_instance.lock, so one
 * is in flight an instance.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "pool/pool.h"

/**
 * liov_hw_send() - send a command that an instance needs, and count it
 * @inst:   instance; the caller holds its lock
 * @cmd:    as for liov_host_admin()
 * @buf:    likewise
 * @len:    likewise
 * @result: likewise
 *
 * Not again if a reset cancels it.  May sleep, but does not wait for a reset.
 *
 * Return: as liov_host_admin(), or as liov_host_enter() if the gate is closed.
 */
int liov_hw_send(struct liov_instance *inst, struct nvme_command *cmd, void *buf,
		 unsigned int len, u32 *result)
{
	struct liov_env *env = liov_env(inst);
	struct liov_host *h = env->parent->host;
	int rc = liov_host_enter(h);

	lockdep_assert_held(&env->lock);
	if (rc)
		return rc;
	env->sent++;
	rc = liov_host_admin(h, cmd, buf, len, result);
	liov_host_leave(h);
	return rc;
}

/*
 * Aborts in flight, of all instances of a controller: what the drive takes at once (ACL, 0's
 * based) but one, which is the host's.
 */
static bool liov_abort_get(struct liov_parent *p)
{
	int max = max_t(int, READ_ONCE(p->id->acl), 1);

	return atomic_add_unless(&p->aborts, 1, max);
}

/**
 * liov_hw_abort() - ask the drive to abort a command of an instance
 * @inst:   instance; the caller holds its lock
 * @hwqid:  the hardware's ID of the queue
 * @gen:    liov_parent.gen when that was made
 * @cid:    the hardware's identifier of the command
 * @result: out: dword 0; bit 0 is set if the command was not aborted
 *
 * A reset in between takes the queue away: then there is nothing to abort.  May sleep, but
 * does not wait for a reset.
 *
 * Return: 0 or an NVMe status.
 */
u16 liov_hw_abort(struct liov_instance *inst, u16 hwqid, u64 gen, u16 cid, u32 *result)
{
	struct liov_parent *p = liov_env(inst)->parent;
	struct nvme_command c = {};
	int rc;

	lockdep_assert_held(&liov_env(inst)->lock);
	*result = 1;
	/* Abort is a best effort (NVMe Base 2.0 section 5.1). */
	if (!liov_abort_get(p))
		return 0;
	c.abort.opcode = nvme_admin_abort_cmd;
	c.abort.sqid = cpu_to_le16(hwqid);
	c.abort.cid = cid;
	rc = liov_host_enter(p->host);
	if (!rc) {
		/* No reset can begin here: the queue is still of this generation. */
		if (READ_ONCE(p->gen) == gen)
			rc = liov_hw_send(inst, &c, NULL, 0, result);
		liov_host_leave(p->host);
	}
	atomic_dec(&p->aborts);
	return liov_abort_status(rc);
}
