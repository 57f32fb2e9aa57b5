// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual admin queue.
 *
 * The guest's admin doorbells arrive as region writes and only wake the
 * instance's worker (liov_events.work), which reads commands from the guest's
 * ASQ one by one, answers, forwards or refuses each, and writes completions to
 * its ACQ.  Each command runs under liov_instance.lock, taken and dropped per
 * command.
 *
 * Nothing waits here while the host resets the controller: a command that needs
 * the hardware then (LIOV_SC_LATER) stays in the ASQ, and those behind it too.
 * What a command asks of the drive: admin_hw.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "controller/controller.h"

/*
 * The most data one admin command moves.  Log pages may be longer: a guest
 * reads them in pieces (and Identify's MDTS bounds it too).
 */
#define LIOV_ADMIN_MAX_DATA	SZ_64K
#define LIOV_ADMIN_MAX_SEGS	(LIOV_ADMIN_MAX_DATA / PAGE_SIZE + 1)

/* A command that is not completed now. */
#define LIOV_ADMIN_HELD		0xffff

/* From one look whether a controller that is being reset is back to the next. */
#define LIOV_ADMIN_AGAIN_MS	50

/* Commands that the work item does before others in its queue get their turn; arbitrary. */
#define LIOV_ADMIN_TURN		64

/* ---- data ---- */

static int liov_prp_read(void *ctx, u64 addr, void *buf, u32 len)
{
	return liov_mem_rw(ctx, addr, buf, len, false);
}

/* Moves @len bytes between @buf and the guest's PRPs; an NVMe status. */
static u16 liov_admin_data(struct liov_instance *inst, const struct nvme_command *c,
			   void *buf, u32 len, bool write)
{
	struct liov_prp_seg *seg;
	unsigned int i, n;
	u16 status = 0;

	if (!len)
		return 0;
	/* It is off meanwhile, and its memory perhaps somebody else's. */
	if (write && !READ_ONCE(inst->awake))
		return NVME_SC_INTERNAL;
	seg = kcalloc(LIOV_ADMIN_MAX_SEGS, sizeof(*seg), GFP_KERNEL_ACCOUNT);
	if (!seg)
		return NVME_SC_INTERNAL;
	n = liov_prp_walk(le64_to_cpu(c->common.dptr.prp1), le64_to_cpu(c->common.dptr.prp2),
			  len, inst->admin.page_size, liov_prp_read, inst, seg,
			  LIOV_ADMIN_MAX_SEGS, &status);
	for (i = 0; i < n; i++) {
		if (liov_mem_rw(inst, seg[i].addr, buf, seg[i].len, write)) {
			status = NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
			break;
		}
		buf += seg[i].len;
	}
	kfree(seg);
	return status;
}

/* ---- commands ---- */

static u16 liov_admin_identify(struct liov_instance *inst, const struct nvme_command *c)
{
	enum liov_identify_src src;
	u16 status = 0;
	void *buf;

	src = liov_identify_route(c, &inst->ident, &status);
	if (src == LIOV_IDENTIFY_REFUSE)
		return status;
	buf = kzalloc(NVME_IDENTIFY_DATA_SIZE, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NVME_SC_INTERNAL;

	liov_hw_identify(inst, src, buf);
	switch (src) {
	case LIOV_IDENTIFY_CTRL:
		liov_identify_ctrl(buf, &inst->ident);
		break;
	case LIOV_IDENTIFY_NS:
		liov_identify_ns(buf, &inst->ident);
		break;
	case LIOV_IDENTIFY_NS_INDEP:
		liov_identify_ns_indep(buf);
		break;
	case LIOV_IDENTIFY_CS_CTRL:
		liov_identify_cs_ctrl(buf, &inst->ident);
		break;
	case LIOV_IDENTIFY_CS_NS:
		liov_identify_cs_ns(buf);
		break;
	case LIOV_IDENTIFY_NS_LIST:
		liov_identify_ns_list(buf, &inst->ident, le32_to_cpu(c->identify.nsid));
		break;
	case LIOV_IDENTIFY_NS_DESC:
		liov_identify_ns_desc(buf, &inst->ident,
				      inst->ident.vs >= NVME_VS(2, 0, 0));
		break;
	default:
		break;
	}
	status = liov_admin_data(inst, c, buf, NVME_IDENTIFY_DATA_SIZE, true);
	kfree(buf);
	return status;
}

static u16 liov_admin_get_log(struct liov_instance *inst, const struct nvme_command *c)
{
	struct liov_log_req req = {};
	enum liov_log_src src;
	u16 status = 0;
	u32 len, size;
	void *buf;

	src = liov_log_route(c, &inst->ident, LIOV_ADMIN_MAX_DATA, &req, &status);
	if (src == LIOV_LOG_REFUSE)
		return status;
	/* Beyond the page's end the guest gets zeroes. */
	size = max_t(u64, req.size, min_t(u64, req.offset, req.size) + req.len);
	buf = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NVME_SC_INTERNAL;

	if (src == LIOV_LOG_PASS) {
		status = liov_hw_log(inst, req.lid, buf);
		if (status)
			goto out;
		liov_log_filter(&req, buf);
	} else {
		liov_log_build(&req, inst->log, buf);
	}

	len = req.len;
	status = liov_admin_data(inst, c, buf + req.offset, len, true);
	if (!status && !req.rae) {
		if (req.lid == NVME_LOG_ERROR)
			inst->admin.masked &= ~(BIT(LIOV_EVENT_DB_REGISTER) |
						BIT(LIOV_EVENT_DB_VALUE) |
						BIT(LIOV_EVENT_INTERNAL));
		if (req.lid == NVME_LOG_CHANGED_NS) {
			inst->admin.masked &= ~BIT(LIOV_EVENT_NS_ATTR);
			inst->log->changed_ns = 0;
		}
	}
out:
	kvfree(buf);
	return status;
}

static bool liov_queues_exist(const struct liov_instance *inst)
{
	unsigned int i;

	for (i = 1; i <= inst->nr_pairs; i++) {
		if (inst->queues.cq[i].valid || inst->queues.sq[i].valid)
			return true;
	}
	return false;
}

/* What a drive grants may change over a reset of the host's. */
static void liov_admin_count_queues(struct liov_instance *inst)
{
	struct liov_parent *p = inst->parent;

	/* During a reset what it granted last. */
	if (liov_host_enter(p->host))
		return;
	/* None at all cannot be said; creation will fail. */
	inst->features.nr_queues = max(liov_pool_remap(p, inst), 1U);
	liov_host_leave(p->host);
}

static u16 liov_admin_features(struct liov_instance *inst, const struct nvme_command *c,
			       u32 *result)
{
	bool set = c->common.opcode == nvme_admin_set_features;
	u32 len = liov_features_data_len(&inst->features, c);
	u64 now = ktime_get_real_ns() / NSEC_PER_MSEC;
	u16 status;
	void *buf;

	buf = kzalloc(NVME_IDENTIFY_DATA_SIZE, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NVME_SC_INTERNAL;
	if (set) {
		if ((le32_to_cpu(c->features.fid) & 0xff) == NVME_FEAT_NUM_QUEUES &&
		    !liov_queues_exist(inst))
			liov_admin_count_queues(inst);
		status = liov_admin_data(inst, c, buf, len, false);
		if (!status)
			status = liov_set_features(&inst->features, c, buf,
						   liov_queues_exist(inst), now, result);
	} else {
		status = liov_get_features(&inst->features, c, buf, now, result);
		if (!status)
			status = liov_admin_data(inst, c, buf, len, true);
	}
	kfree(buf);
	return status;
}

/*
 * Before the guest makes a queue.  Those that a reset of the host's took come first, and
 * while there is none nobody may have looked what its commands will reach.
 */
static u16 liov_admin_may_create(struct liov_instance *inst)
{
	int rc;

	if (!liov_control_entry_sizes_ok(inst))
		return NVME_SC_QUEUE_SIZE | NVME_STATUS_DNR;
	rc = liov_resume_now(inst);
	if (!rc)
		rc = liov_ns_is_free(inst) ? liov_backing_verify(inst, true) : -EAGAIN;
	return liov_guest_status(rc);
}

static u16 liov_admin_create_cq(struct liov_instance *inst, const struct nvme_command *c)
{
	u16 status = liov_check_create_cq(&inst->queues, c);
	u16 qid = liov_qid_index(&inst->queues, le16_to_cpu(c->create_cq.cqid));

	if (!status)
		status = liov_admin_may_create(inst);
	if (status)
		return status;
	status = liov_cq_create(liov_cq_at(inst, qid), c);
	if (!status)
		liov_queues_add_cq(&inst->queues, c);
	return status;
}

static u16 liov_admin_create_sq(struct liov_instance *inst, const struct nvme_command *c)
{
	u16 status = liov_check_create_sq(&inst->queues, c);
	u16 qid = liov_qid_index(&inst->queues, le16_to_cpu(c->create_sq.sqid));

	if (!status)
		status = liov_admin_may_create(inst);
	if (status)
		return status;
	status = liov_sq_create(liov_sq_at(inst, qid), c);
	if (!status) {
		liov_queues_add_sq(&inst->queues, c);
		inst->sq_made(inst, qid);
		liov_doorbell_decode_changed(inst);
	}
	return status;
}

static u16 liov_admin_delete(struct liov_instance *inst, const struct nvme_command *c)
{
	bool sq = c->common.opcode == nvme_admin_delete_sq;
	u16 qid = liov_qid_index(&inst->queues, le16_to_cpu(c->delete_queue.qid));
	u16 status;
	int rc;

	status = sq ? liov_check_delete_sq(&inst->queues, c) :
		      liov_check_delete_cq(&inst->queues, c);
	if (status)
		return status;
	rc = sq ? liov_sq_delete(liov_sq_at(inst, qid), false) :
		  liov_cq_delete(liov_cq_at(inst, qid), false);
	if (rc)
		return liov_hw_status(rc);
	if (sq)
		liov_queues_del_sq(&inst->queues, qid);
	else
		liov_queues_del_cq(&inst->queues, qid);
	return 0;
}

static void liov_admin_complete(struct liov_instance *inst, u16 cid, u16 status, u32 result);

/* Dword 0 bit 0 of the result: 1 when the command was not aborted. */
static u16 liov_admin_abort(struct liov_instance *inst, const struct nvme_command *c,
			    u32 *result)
{
	u16 sqid = liov_qid_index(&inst->queues, le16_to_cpu(c->abort.sqid));
	struct liov_admin *a = &inst->admin;
	unsigned int i;

	*result = 1;
	if (!c->abort.sqid) {
		for (i = 0; i < a->nr_aer; i++) {
			/* CIDs are opaque: compared as they came. */
			if (a->aer[i] != c->abort.cid)
				continue;
			a->aer[i] = a->aer[--a->nr_aer];
			liov_admin_complete(inst, c->abort.cid, NVME_SC_ABORT_REQ, 0);
			*result = 0;
			break;
		}
		return 0;
	}
	if (!sqid || !inst->queues.sq[sqid].valid)
		return 0;
	return inst->mode->abort(inst, sqid, c->abort.cid, result);
}

static u16 liov_admin_aer(struct liov_instance *inst, const struct nvme_command *c)
{
	struct liov_admin *a = &inst->admin;

	if (a->nr_aer == ARRAY_SIZE(a->aer))
		return NVME_SC_ASYNC_LIMIT | NVME_STATUS_DNR;
	a->aer[a->nr_aer++] = c->common.command_id;
	return LIOV_ADMIN_HELD;
}

static u16 liov_admin_execute(struct liov_instance *inst, const struct nvme_command *c,
			      u32 *result)
{
	/* FUSE is for I/O commands; SGLs are not offered (SGLS = 0). */
	if (c->common.flags)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;

	switch (c->common.opcode) {
	case nvme_admin_identify:
		return liov_admin_identify(inst, c);
	case nvme_admin_get_log_page:
		return liov_admin_get_log(inst, c);
	case nvme_admin_set_features:
	case nvme_admin_get_features:
		return liov_admin_features(inst, c, result);
	case nvme_admin_create_cq:
		return liov_admin_create_cq(inst, c);
	case nvme_admin_create_sq:
		return liov_admin_create_sq(inst, c);
	case nvme_admin_delete_cq:
	case nvme_admin_delete_sq:
		return liov_admin_delete(inst, c);
	case nvme_admin_abort_cmd:
		return liov_admin_abort(inst, c, result);
	case nvme_admin_async_event:
		return liov_admin_aer(inst, c);
	default:
		return NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR;
	}
}

/* ---- the rings ---- */

static void liov_admin_fatal(struct liov_instance *inst, const char *what)
{
	liov_control_set_fatal(inst);
	liov_guest_warn(inst, "the guest's admin %s cannot be reached; its controller stops until it resets it\n",
			what);
}

/*
 * The status word goes last, on its own: a guest may look at the entry at any
 * time and takes it by the phase bit in there.
 */
static void liov_admin_complete(struct liov_instance *inst, u16 cid, u16 status, u32 result)
{
	struct liov_admin *a = &inst->admin;
	struct nvme_completion cqe = {
		.result.u32	= cpu_to_le32(result),
		.sq_head	= cpu_to_le16(a->head),
		.sq_id		= 0,
		.command_id	= cid,
		.status		= cpu_to_le16(status << 1 | a->phase),
	};
	u64 addr = a->acq + a->cq_tail * sizeof(cqe);
	u32 body = offsetof(struct nvme_completion, status);

	if (!READ_ONCE(inst->awake))
		return;
	if (liov_mem_rw(inst, addr, &cqe, body, true) ||
	    liov_mem_rw(inst, addr + body, &cqe.status, sizeof(cqe.status), true)) {
		liov_admin_fatal(inst, "completion queue");
		return;
	}
	if (++a->cq_tail == a->acq_size) {
		a->cq_tail = 0;
		a->phase ^= 1;
	}
	liov_irq_interrupt(inst, 0);
}

/* Room for @n more completions?  One entry stays free (full looks like empty). */
static bool liov_acq_room(struct liov_instance *inst, u32 n)
{
	struct liov_admin *a = &inst->admin;
	u32 size = a->acq_size;
	u32 used = (a->cq_tail + size - READ_ONCE(a->cq_head)) % size;

	return size - 1 - used >= n;
}

/* Completes held AERs with events that wait; caller holds liov_instance.lock. */
static void liov_admin_report(struct liov_instance *inst)
{
	struct liov_admin *a = &inst->admin;
	int ev;

	for (ev = 0; ev < LIOV_NR_EVENTS; ev++) {
		if (!a->nr_aer || !liov_acq_room(inst, 1))
			return;
		if ((a->masked & BIT(ev)) || !test_and_clear_bit(ev, &inst->events.waiting))
			continue;
		if (ev == LIOV_EVENT_NS_ATTR &&
		    !(inst->features.async_event & NVME_AEN_CFG_NS_ATTR))
			continue;
		if (ev == LIOV_EVENT_DB_REGISTER || ev == LIOV_EVENT_DB_VALUE)
			liov_log_record_error(inst->log, 0xffff, 0xffff, 0, 0);
		a->masked |= BIT(ev);
		liov_admin_complete(inst, a->aer[--a->nr_aer], 0, liov_event_result(ev));
	}
}

/* One command; false when there is nothing left to do now. */
static bool liov_admin_one(struct liov_instance *inst)
{
	struct liov_admin *a = &inst->admin;
	struct nvme_command c;
	unsigned long delay;
	u32 result = 0, tail;
	u16 status;

	lockdep_assert_held(&inst->lock);
	if (!READ_ONCE(inst->awake))
		return false;
	liov_admin_report(inst);
	/* What took the hardware away is still told, but nothing else done. */
	if (READ_ONCE(inst->fatal))
		return false;

	tail = READ_ONCE(a->tail);
	/* An Abort completes two commands. */
	if (a->head == tail || !liov_acq_room(inst, min(2U, a->acq_size - 1)))
		return false;
	if (liov_mem_rw(inst, a->asq + a->head * sizeof(c), &c, sizeof(c), false)) {
		liov_admin_fatal(inst, "submission queue");
		return false;
	}
	/* Too many for the drive just now: as LIOV_SC_LATER below. */
	if (!liov_hw_may(inst, &c, &delay)) {
		liov_queue_delayed_work(inst, &inst->events.work, delay);
		return false;
	}

	status = liov_admin_execute(inst, &c, &result);
	if (status == LIOV_SC_LATER) {
		liov_hw_did_not(inst, &c);
		/* Instances are told of the end of a reset, but not of all that may delay this. */
		liov_queue_delayed_work(inst, &inst->events.work,
					msecs_to_jiffies(LIOV_ADMIN_AGAIN_MS));
		return false;
	}
	if (++a->head == a->asq_size)
		a->head = 0;
	a->commands++;
	if (status == LIOV_ADMIN_HELD)
		return true;
	if (status) {
		a->refused++;
		liov_log_record_error(inst->log, 0, c.common.command_id, status,
				      le32_to_cpu(c.common.nsid));
		status |= NVME_STATUS_MORE;	/* see the error log */
	}
	liov_admin_complete(inst, c.common.command_id, status, result);
	return true;
}

static void liov_admin_work(struct work_struct *work)
{
	struct liov_instance *inst = container_of(to_delayed_work(work), struct liov_instance,
						  events.work);
	unsigned int left = LIOV_ADMIN_TURN;
	struct mem_cgroup *old;
	bool more;

	do {
		mutex_lock(&inst->lock);
		old = liov_charge_begin(inst);
		more = inst->is_open && liov_admin_one(inst);
		liov_charge_end(old);
		mutex_unlock(&inst->lock);
		cond_resched();
	} while (more && --left);
	/* A guest may bring more than it takes to do one. */
	if (more)
		liov_queue_delayed_work(inst, &inst->events.work, 0);
}

/**
 * liov_admin_doorbell() - the guest rang an admin doorbell
 * @inst: open instance
 * @cq:   ACQ head rather than ASQ tail
 * @val:  the value
 *
 * Two vCPUs may do so at once; the last value counts, as on hardware.  Does
 * not sleep.
 */
void liov_admin_doorbell(struct liov_instance *inst, bool cq, u32 val)
{
	if (val >= READ_ONCE(*(cq ? &inst->admin.acq_size : &inst->admin.asq_size))) {
		liov_admin_event(inst, LIOV_EVENT_DB_VALUE);
		return;
	}
	if (cq)
		WRITE_ONCE(inst->admin.cq_head, val);
	else
		WRITE_ONCE(inst->admin.tail, val);
	liov_admin_kick(inst);
}

/**
 * liov_admin_enable() - CC.EN = 1: take the admin queues that the registers name
 * @inst: instance; the caller holds its lock
 *
 * Looks at the first entry of each, so that a guest with a wrong ASQ or ACQ
 * finds a fatal status at once.  May sleep.
 *
 * Return: whether both lie in guest memory.
 */
bool liov_admin_enable(struct liov_instance *inst)
{
	struct liov_admin *a = &inst->admin;
	struct nvme_completion cqe;
	struct nvme_command c;

	liov_admin_reset(inst);
	spin_lock(&inst->reg_lock);
	a->asq = inst->regs.asq;
	a->acq = inst->regs.acq;
	WRITE_ONCE(a->asq_size, (inst->regs.aqa & 0xfff) + 1);
	WRITE_ONCE(a->acq_size, ((inst->regs.aqa >> 16) & 0xfff) + 1);
	a->page_size = 1U << (12 + ((inst->regs.cc >> NVME_CC_MPS_SHIFT) & 0xf));
	spin_unlock(&inst->reg_lock);
	return !liov_mem_rw(inst, a->asq, &c, sizeof(c), false) &&
	       !liov_mem_rw(inst, a->acq, &cqe, sizeof(cqe), false);
}

/**
 * liov_admin_reset() - the admin queues are empty
 * @inst: instance; the caller holds its lock
 */
void liov_admin_reset(struct liov_instance *inst)
{
	struct liov_admin *a = &inst->admin;

	lockdep_assert_held(&inst->lock);
	WRITE_ONCE(a->tail, 0);
	WRITE_ONCE(a->cq_head, 0);
	a->head = 0;
	a->cq_tail = 0;
	a->phase = 1;
	WRITE_ONCE(a->asq_size, 1);
	WRITE_ONCE(a->acq_size, 1);
	a->nr_aer = 0;
	inst->events.waiting = 0;
	a->masked = 0;
}

/**
 * liov_admin_stop() - wait until no admin work runs
 * @inst: instance that is being closed; its lock must not be held
 *
 * May sleep as long as an admin command of the hardware takes.
 */
void liov_admin_stop(struct liov_instance *inst)
{
	cancel_delayed_work_sync(&inst->events.work);
}

/**
 * liov_admin_init() - prepare the admin queue; once, at creation
 * @inst: instance
 */
void liov_admin_init(struct liov_instance *inst)
{
	INIT_DELAYED_WORK(&inst->events.work, liov_admin_work);
}
