// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest's admin commands cost the drive, whose admin queue is the host's.
 *
 * Identify and log pages are answered from copies: a guest that asks all day costs the
 * drive nothing, gets an answer while the host resets the controller, and never makes a
 * drive look at a command that it may not know, which would leave an entry in its error log.
 *
 *   Identify Controller, CNS 06h, firmware slots, commands supported and effects
 *	liov_parent_identify(), when an instance is opened or its controller enabled after
 *	a reset or a command of the host's that may have changed them
 *   Identify Namespace, CNS 05h
 *	likewise, nscheck.c
 *   SMART
 *	at most one command in LIOV_SMART_MS, for all instances of a controller
 *
 * What has to reach the drive, Create, Delete and Abort, is one in flight an instance, since
 * its admin worker does one at a time; liov_hw_may() limits how many in the long run, and
 * Abort counts against what the drive takes at once (send.c).
 *
 * Owns struct liov_hw of the parent and struct liov_hw_inst of the instance.  liov_hw.lock
 * is a leaf: nothing is waited for and no command sent under it.  liov_hw_inst is under
 * liov_instance.lock.  Called by admin.c, parent.c and nscheck.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/slab.h>

#include "controller/controller.h"

/* Retain Asynchronous Event: bit 7 of the byte that holds LSP. */
#define LIOV_LOG_RAE		0x80

/* Temperatures are no older than that. */
#define LIOV_SMART_MS		1000

/*
 * Commands that a guest's may bring to the drive at once, and in a second after that.
 * Arbitrary: a boot with 16 queue pairs through firmware, loader and system makes and
 * deletes about 150 queues, a reset 64; a drive takes below a millisecond for each.
 */
#define LIOV_HW_BURST		256
#define LIOV_HW_RATE		128

/* Of Identify Namespace nothing behind the formats is shown to a guest (identify.c). */
#define LIOV_NS_KEPT		offsetofend(struct nvme_id_ns, lbaf)

/* ---- copies ---- */

/* Reads @len bytes, at most one page, into @to. */
static int liov_hw_read(struct liov_parent *p, struct nvme_command *c, void *to, u32 len)
{
	void *buf = kzalloc(NVME_IDENTIFY_DATA_SIZE, GFP_KERNEL);
	int rc;

	if (!buf)
		return -ENOMEM;
	/* Not waiting for a reset, whose end may wait for the caller. */
	rc = liov_pool_admin_now(p, c, buf, len);
	if (!rc) {
		mutex_lock(&p->hw->lock);
		memcpy(to, buf, len);
		mutex_unlock(&p->hw->lock);
	}
	kfree(buf);
	return rc;
}

static struct nvme_command liov_hw_identify_cmd(u8 cns, u32 nsid)
{
	struct nvme_command c = {};

	c.identify.opcode = nvme_admin_identify;
	c.identify.cns = cns;
	c.identify.csi = NVME_CSI_NVM;
	c.identify.nsid = cpu_to_le32(nsid);
	return c;
}

/* Whole pages; events that reading one clears, if any, are the host's. */
static struct nvme_command liov_hw_log_cmd(u8 lid, u32 len)
{
	struct nvme_command c = {};
	u32 numd = len / sizeof(u32) - 1;

	c.get_log_page.opcode = nvme_admin_get_log_page;
	c.get_log_page.nsid = cpu_to_le32(NVME_NSID_ALL);
	c.get_log_page.lid = lid;
	c.get_log_page.lsp = LIOV_LOG_RAE;
	c.get_log_page.numdl = cpu_to_le16(numd & 0xffff);
	c.get_log_page.numdu = cpu_to_le16(numd >> 16);
	return c;
}

/*
 * CNS 05h and 06h came with NVMe 2.0 and with what preceded it, command sets (CAP.CSS bit
 * 6).  Others refuse them, and write that into their error log.
 */
static bool liov_hw_knows_command_sets(const struct liov_parent *p)
{
	return p->host->vs >= NVME_VS(2, 0, 0) ||
	       NVME_CAP_CSS(p->host->cap) & NVME_CAP_CSS_CSI;
}

static bool liov_hw_has_effects(const struct liov_parent *p)
{
	return p->id->lpa & NVME_CTRL_LPA_CMD_EFFECTS_LOG;
}

/* A page of which the last copy, or none, serves if it cannot be read. */
static void liov_hw_refresh_page(struct liov_parent *p, struct nvme_command c, void *to, u32 len,
				 const char *what)
{
	int rc = liov_hw_read(p, &c, to, len);

	/* Of a reset, after which it is read again, or no controller any more. */
	if (!rc || rc == -EINTR || rc == -EAGAIN || rc == -ENODEV)
		return;
	pci_warn(p->host->pdev, "lightiov: reading its %s failed (%d); guests get the last one read, if any (reset the controller to try again)\n",
		 what, rc);
}

/*
 * What guests are told of it beside Identify Controller, which has just been read.  Does not
 * wait for a reset.  A page that cannot be read stays as it was.
 */
static void liov_hw_refresh(struct liov_parent *p)
{
	struct liov_hw *hw = p->hw;

	if (liov_hw_knows_command_sets(p))
		liov_hw_refresh_page(p, liov_hw_identify_cmd(NVME_ID_CNS_CS_CTRL, 0), &hw->cs_ctrl,
				     sizeof(hw->cs_ctrl), "limits of commands (CNS 06h)");
	liov_hw_refresh_page(p, liov_hw_log_cmd(NVME_LOG_FW_SLOT, sizeof(hw->fw)), &hw->fw,
			     sizeof(hw->fw), "firmware slots");
	if (liov_hw_has_effects(p))
		liov_hw_refresh_page(p, liov_hw_log_cmd(NVME_LOG_CMD_EFFECTS,
							sizeof(hw->effects)),
				     &hw->effects, sizeof(hw->effects), "command effects");
}

/**
 * liov_parent_identify() - read what guests are told of it, unless nothing can have changed
 * @p:    parent
 * @wait: while the host resets the controller
 *
 * A reset may have brought new firmware, with other limits.  May sleep; takes pool_lock.
 *
 * Return: 0 or a negative errno, -EBUSY if it may pass; then what was read before is still
 * there.
 */
int liov_parent_identify(struct liov_parent *p, bool wait)
{
	u64 gen = READ_ONCE(p->ns_gen);
	struct nvme_command c = {};
	struct nvme_id_ctrl *id;
	int rc;

	if (READ_ONCE(p->id_gen) == gen)
		return 0;
	id = kzalloc(sizeof(*id), GFP_KERNEL);
	if (!id)
		return -ENOMEM;
	c.identify.opcode = nvme_admin_identify;
	c.identify.cns = NVME_ID_CNS_CTRL;
	rc = wait ? liov_pool_admin(p, &c, id, sizeof(*id), NULL) :
		    liov_pool_admin_now(p, &c, id, sizeof(*id));
	if (!rc) {
		mutex_lock(&p->pool_lock);
		*p->id = *id;
		p->vwc = id->vwc & NVME_CTRL_VWC_PRESENT;
		WRITE_ONCE(p->id_gen, gen);
		mutex_unlock(&p->pool_lock);
	}
	kfree(id);
	if (!rc)
		liov_hw_refresh(p);
	if (rc > 0)
		return rc & NVME_STATUS_DNR ? -EIO : -EBUSY;
	return rc;
}

/**
 * liov_hw_keep_ns() - the drive has told what the backing's namespace is
 * @inst: instance; the caller holds its lock
 * @ns:   Identify Namespace
 * @wait: also for a reset of the host's
 *
 * Where there is no guard asks for CNS 05h, too: extended formats, of which that lets none
 * be used.  May sleep.
 *
 * Return: 0, or a negative errno.
 */
int liov_hw_keep_ns(struct liov_instance *inst, const struct nvme_id_ns *ns, bool wait)
{
	struct nvme_command c = liov_hw_identify_cmd(NVME_ID_CNS_CS_NS, inst->backing.nsid);
	struct liov_parent *p = inst->parent;
	void *cs_ns = inst->hw.cs_ns;
	int rc;

	lockdep_assert_held(&inst->lock);
	memcpy(inst->hw.ns, ns, LIOV_NS_KEPT);
	if (inst->mode->guard || !liov_hw_knows_command_sets(p))
		return 0;
	if (!cs_ns) {
		cs_ns = kzalloc(NVME_IDENTIFY_DATA_SIZE, GFP_KERNEL_ACCOUNT);
		if (!cs_ns)
			return -ENOMEM;
		inst->hw.cs_ns = cs_ns;
	}
	if (wait)
		rc = liov_pool_admin(p, &c, cs_ns, NVME_IDENTIFY_DATA_SIZE, NULL);
	else
		rc = liov_pool_admin_now(p, &c, cs_ns, NVME_IDENTIFY_DATA_SIZE);
	/* It has none then, and nothing else depends on it. */
	if (rc > 0)
		memset(cs_ns, 0, NVME_IDENTIFY_DATA_SIZE);
	return min(rc, 0);
}

/**
 * liov_hw_identify() - the drive's data for an Identify command of the guest's
 * @inst: open instance; the caller holds its lock
 * @src:  from liov_identify_route()
 * @buf:  4096 bytes, zero; stay so if @src needs no data of the drive's
 *
 * Does not wait for the drive.
 */
void liov_hw_identify(struct liov_instance *inst, enum liov_identify_src src, void *buf)
{
	struct liov_parent *p = inst->parent;

	lockdep_assert_held(&inst->lock);
	switch (src) {
	case LIOV_IDENTIFY_CTRL:
		mutex_lock(&p->pool_lock);
		memcpy(buf, p->id, NVME_IDENTIFY_DATA_SIZE);
		mutex_unlock(&p->pool_lock);
		break;
	case LIOV_IDENTIFY_CS_CTRL:
		mutex_lock(&p->hw->lock);
		memcpy(buf, &p->hw->cs_ctrl, NVME_IDENTIFY_DATA_SIZE);
		mutex_unlock(&p->hw->lock);
		break;
	case LIOV_IDENTIFY_NS:
	case LIOV_IDENTIFY_NS_INDEP:
		memcpy(buf, inst->hw.ns, LIOV_NS_KEPT);
		break;
	case LIOV_IDENTIFY_CS_NS:
		if (inst->hw.cs_ns)
			memcpy(buf, inst->hw.cs_ns, NVME_IDENTIFY_DATA_SIZE);
		break;
	default:
		break;
	}
}

/* Is it this instance's turn to ask?  Others meanwhile get the last copy. */
static bool liov_smart_is_old(struct liov_hw *hw)
{
	unsigned long now = jiffies;
	bool old;

	mutex_lock(&hw->lock);
	old = !hw->smart_asked || time_after(now, hw->smart_at + msecs_to_jiffies(LIOV_SMART_MS));
	if (old) {
		hw->smart_asked = true;
		hw->smart_at = now;
	}
	mutex_unlock(&hw->lock);
	return old;
}

static void liov_smart_refresh(struct liov_instance *inst)
{
	struct liov_parent *p = inst->parent;
	struct liov_hw *hw = p->hw;
	struct nvme_command c = liov_hw_log_cmd(NVME_LOG_SMART, sizeof(hw->smart));
	void *buf;
	int rc;

	if (!liov_smart_is_old(hw))
		return;
	buf = kzalloc(sizeof(hw->smart), GFP_KERNEL);
	if (!buf)
		return;
	rc = liov_hw_send(inst, &c, buf, sizeof(hw->smart), NULL);
	mutex_lock(&hw->lock);
	/* While the host resets the controller the last copy has to do. */
	if (rc >= 0 || hw->smart_status == LIOV_SC_LATER)
		hw->smart_status = liov_hw_status(rc);
	if (!rc)
		memcpy(&hw->smart, buf, sizeof(hw->smart));
	mutex_unlock(&hw->lock);
	kfree(buf);
}

/**
 * liov_hw_log() - the drive's data for a Get Log Page command of the guest's
 * @inst: open instance; the caller holds its lock
 * @lid:  page, one for which liov_log_route() says LIOV_LOG_PASS
 * @buf:  as many bytes as the page has, zero
 *
 * Does not wait for a reset.  Return: 0 or the NVMe status; LIOV_SC_LATER if there is no
 * copy yet.
 */
u16 liov_hw_log(struct liov_instance *inst, u8 lid, void *buf)
{
	struct liov_parent *p = inst->parent;
	struct liov_hw *hw = p->hw;
	u16 status = 0;

	lockdep_assert_held(&inst->lock);
	if (lid == NVME_LOG_SMART)
		liov_smart_refresh(inst);
	mutex_lock(&hw->lock);
	switch (lid) {
	case NVME_LOG_SMART:
		memcpy(buf, &hw->smart, sizeof(hw->smart));
		status = hw->smart_status;
		break;
	case NVME_LOG_FW_SLOT:
		memcpy(buf, &hw->fw, sizeof(hw->fw));
		break;
	case NVME_LOG_CMD_EFFECTS:
		if (liov_hw_has_effects(p)) {
			memcpy(buf, &hw->effects, sizeof(hw->effects));
			break;
		}
		fallthrough;
	default:
		status = NVME_SC_INVALID_LOG_PAGE | NVME_STATUS_DNR;
	}
	mutex_unlock(&hw->lock);
	return status;
}

/* ---- what reaches the drive ---- */

/* Can the command reach the drive?  The others cost it nothing. */
static bool liov_hw_reaches(const struct nvme_command *c)
{
	switch (c->common.opcode) {
	case nvme_admin_create_cq:
	case nvme_admin_create_sq:
	case nvme_admin_delete_cq:
	case nvme_admin_delete_sq:
		return true;
	case nvme_admin_abort_cmd:
		/* else of an Asynchronous Event Request, which is ours */
		return c->abort.sqid;
	default:
		return false;
	}
}

/**
 * liov_hw_may() - is it time for this admin command?
 * @inst:  open instance; the caller holds its lock
 * @c:     the guest's command, at the head of its ASQ
 * @delay: out: jiffies, if it is not; come again then
 *
 * Takes what the command costs if it is.  A queue that is made costs as much again when a
 * reset of the guest's controller deletes it.
 *
 * Return: whether it may be executed now.
 */
bool liov_hw_may(struct liov_instance *inst, const struct nvme_command *c, unsigned long *delay)
{
	struct liov_hw_inst *hw = &inst->hw;
	unsigned long now = jiffies;
	u64 got;

	lockdep_assert_held(&inst->lock);
	if (!liov_hw_reaches(c))
		return true;
	/* Tokens since the last look; in units of 1 / HZ, so that none is lost. */
	got = (u64)(now - hw->tokens_at) * LIOV_HW_RATE;
	hw->tokens = min_t(u64, hw->tokens + got, (u64)LIOV_HW_BURST * HZ);
	hw->tokens_at = now;
	if (hw->tokens < HZ) {
		*delay = DIV_ROUND_UP(HZ - hw->tokens, LIOV_HW_RATE);
		hw->delayed++;
		return false;
	}
	hw->tokens -= HZ;
	return true;
}

/**
 * liov_hw_did_not() - a command that liov_hw_may() allowed has to wait for something else
 * @inst: open instance; the caller holds its lock
 * @c:    the guest's command
 *
 * Gives back what it cost.
 */
void liov_hw_did_not(struct liov_instance *inst, const struct nvme_command *c)
{
	lockdep_assert_held(&inst->lock);
	if (liov_hw_reaches(c))
		inst->hw.tokens += HZ;
}

/* ---- life ---- */

/**
 * liov_hw_alloc() - for a parent
 * @p: parent
 *
 * Return: 0 or -ENOMEM.
 */
int liov_hw_alloc(struct liov_parent *p)
{
	p->hw = kvzalloc(sizeof(*p->hw), GFP_KERNEL);
	if (!p->hw)
		return -ENOMEM;
	mutex_init(&p->hw->lock);
	p->hw->smart_status = LIOV_SC_LATER;
	return 0;
}

/**
 * liov_hw_free() - as far as there is any
 * @p: parent
 */
void liov_hw_free(struct liov_parent *p)
{
	kvfree(p->hw);
}

/**
 * liov_hw_inst_alloc() - for an instance, once, at creation
 * @inst: instance
 *
 * Return: 0 or -ENOMEM.
 */
int liov_hw_inst_alloc(struct liov_instance *inst)
{
	struct liov_hw_inst *hw = &inst->hw;

	hw->tokens = (u64)LIOV_HW_BURST * HZ;
	hw->tokens_at = jiffies;
	hw->ns = kzalloc(LIOV_NS_KEPT, GFP_KERNEL_ACCOUNT);
	return hw->ns ? 0 : -ENOMEM;
}

/**
 * liov_hw_inst_free() - as far as there is any
 * @inst: instance nobody uses any more
 */
void liov_hw_inst_free(struct liov_instance *inst)
{
	kfree(inst->hw.ns);
	kfree(inst->hw.cs_ns);
}
