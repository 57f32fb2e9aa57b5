// SPDX-License-Identifier: GPL-2.0
/*
 * Does this drive interrupt again before its CQ head has moved?
 *
 * NVMe allows a controller to hold the next interrupt of a completion queue
 * back until the host has acknowledged the last one through the CQ head
 * doorbell (NVMe PCIe Transport 1.0 section 3.5.1).  If a drive does, a guest's
 * CQ head must reach it at once, one exit for each completion; if not, the head
 * can go with the next submission.  So the parent asks the drive, once, on a
 * carved queue pair with two Flush commands of its own, which move no data.
 *
 * Runs in the boundary's live work item, or for a write to the attribute cq_head; owns
 * everything it uses.  A queue that could not be deleted is left to the hardware, with its
 * rings, until the controller was disabled.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "pool/pool.h"

#define LIOV_PROBE_DEPTH	4
/* Far above what a healthy drive needs; together well below LIOV_DRAIN_MS. */
#define LIOV_PROBE_IO_MS	2000
#define LIOV_PROBE_IRQ_MS	500

/*
 * @node:  in liov_parent.stuck_probes
 * @gen:   liov_parent.gen at the beginning
 * @stuck: a queue could not be deleted
 */
struct liov_probe {
	struct list_head	node;
	struct liov_parent	*p;
	u64			gen;
	u16			qid;
	struct nvme_command	*sq;
	struct nvme_completion	*cq;
	__le32			*list;
	dma_addr_t		sq_dma, cq_dma;
	struct msi_map		map;
	struct completion	irq;
	u32			nsid;
	bool			stuck;
};

static irqreturn_t liov_probe_irq(int irq, void *data)
{
	struct liov_probe *pr = data;

	complete(&pr->irq);
	return IRQ_HANDLED;
}

/* One Flush, submitted as entry @i; waits for its completion entry. */
static int liov_probe_flush(struct liov_probe *pr, unsigned int i)
{
	struct nvme_command *c = &pr->sq[i];
	unsigned int ms;

	memset(c, 0, sizeof(*c));
	c->common.opcode = nvme_cmd_flush;
	c->common.command_id = i;
	c->common.nsid = cpu_to_le32(pr->nsid);
	writel(i + 1, liov_pool_doorbell(pr->p, pr->qid, false));
	for (ms = 0; ms < LIOV_PROBE_IO_MS; ms++) {
		if (le16_to_cpu(READ_ONCE(pr->cq[i].status)) & 1)
			return 0;
		usleep_range(1000, 1100);
	}
	return -ETIMEDOUT;
}

static int liov_probe_delete(struct liov_probe *pr, u8 opcode)
{
	struct nvme_command c = {};

	if (liov_lacks(LIOV_LACK_FENCE))
		return -EIO;
	c.delete_queue.opcode = opcode;
	c.delete_queue.qid = cpu_to_le16(pr->qid);
	return liov_host_admin(pr->p->host, &c, NULL, 0, NULL);
}

/* The first active namespace, 0 if there is none. */
static u32 liov_probe_nsid(struct liov_probe *pr)
{
	struct nvme_command c = {};

	c.identify.opcode = nvme_admin_identify;
	c.identify.cns = NVME_ID_CNS_NS_ACTIVE_LIST;
	if (liov_host_admin(pr->p->host, &c, pr->list, NVME_IDENTIFY_DATA_SIZE, NULL))
		return 0;
	return le32_to_cpu(pr->list[0]);
}

/* On queues that exist: 1 if the second interrupt came by itself, 0 if not. */
static int liov_probe_ask(struct liov_probe *pr)
{
	int rc;

	rc = liov_probe_flush(pr, 0);
	if (rc)
		return rc;
	if (!wait_for_completion_timeout(&pr->irq, msecs_to_jiffies(LIOV_PROBE_IO_MS)))
		return -EIO;
	rc = liov_probe_flush(pr, 1);
	if (rc)
		return rc;
	return wait_for_completion_timeout(&pr->irq, msecs_to_jiffies(LIOV_PROBE_IRQ_MS)) ? 1 : 0;
}

static int liov_probe_queues(struct liov_probe *pr)
{
	struct liov_host *h = pr->p->host;
	struct nvme_command c = {};
	int rc;

	c.create_cq.opcode = nvme_admin_create_cq;
	c.create_cq.prp1 = cpu_to_le64(pr->cq_dma);
	c.create_cq.cqid = cpu_to_le16(pr->qid);
	c.create_cq.qsize = cpu_to_le16(LIOV_PROBE_DEPTH - 1);
	c.create_cq.cq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG | NVME_CQ_IRQ_ENABLED);
	c.create_cq.irq_vector = cpu_to_le16(pr->map.index);
	rc = liov_host_admin(h, &c, NULL, 0, NULL);
	if (rc)
		return rc > 0 ? -EIO : rc;

	memset(&c, 0, sizeof(c));
	c.create_sq.opcode = nvme_admin_create_sq;
	c.create_sq.prp1 = cpu_to_le64(pr->sq_dma);
	c.create_sq.sqid = cpu_to_le16(pr->qid);
	c.create_sq.qsize = cpu_to_le16(LIOV_PROBE_DEPTH - 1);
	c.create_sq.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG);
	c.create_sq.cqid = cpu_to_le16(pr->qid);
	rc = liov_host_admin(h, &c, NULL, 0, NULL);
	if (rc > 0)
		rc = -EIO;
	if (!rc) {
		rc = liov_probe_ask(pr);
		if (liov_probe_delete(pr, nvme_admin_delete_sq))
			pr->stuck = true;
	}
	if (liov_probe_delete(pr, nvme_admin_delete_cq))
		pr->stuck = true;
	return pr->stuck ? -EIO : rc;
}

/* In a section: all that is asked of the hardware.  As liov_probe_ask(). */
static int liov_probe_run(struct liov_probe *pr)
{
	struct pci_dev *pdev = pr->p->host->pdev;
	int rc;

	pr->nsid = liov_probe_nsid(pr);
	if (!pr->nsid)
		return -ENODEV;
	if (!liov_can_add_vectors(pdev))
		return -EOPNOTSUPP;
	pr->map = pci_msix_alloc_irq_at(pdev, MSI_ANY_INDEX, NULL);
	if (pr->map.index < 0)
		return pr->map.index;
	rc = request_irq(pr->map.virq, liov_probe_irq, 0, "lightiov-probe", pr);
	if (!rc) {
		rc = liov_probe_queues(pr);
		free_irq(pr->map.virq, pr);
	}
	pci_msix_free_irq(pdev, pr->map);
	return rc;
}

static void liov_probe_say(struct liov_probe *pr, int rc)
{
	const char *more = "";

	if (pr->stuck)
		more = "; a queue pair is not used before the next reset (nvme reset)";
	pci_info(pr->p->host->pdev, "lightiov: could not ask the drive about its CQ head (%d); forwarding each%s\n",
		 rc, more);
}

static void liov_probe_free(struct liov_probe *pr)
{
	struct device *dev = &pr->p->host->pdev->dev;

	if (pr->sq)
		dma_free_coherent(dev, PAGE_SIZE, pr->sq, pr->sq_dma);
	if (pr->cq)
		dma_free_coherent(dev, PAGE_SIZE, pr->cq, pr->cq_dma);
	kfree(pr->list);
	kfree(pr);
}

/*
 * Gives the borrowed qid back.  Returns false if the hardware may still use the queue: ID
 * and memory are kept then, until the controller was disabled.
 */
static bool liov_probe_return(struct liov_probe *pr)
{
	struct liov_parent *p = pr->p;
	bool kept;

	mutex_lock(&p->pool_lock);
	kept = pr->stuck && liov_pool_stick_qid(p, pr->qid, pr->gen);
	if (kept)
		list_add_tail(&pr->node, &p->stuck_probes);
	else
		clear_bit(pr->qid, p->qids);
	mutex_unlock(&p->pool_lock);
	return !kept;
}

/**
 * liov_probe_reclaim() - after a reset: free what stuck queues had
 * @p: parent; the controller is live
 *
 * May sleep.
 */
void liov_probe_reclaim(struct liov_parent *p)
{
	struct liov_probe *pr, *tmp;
	LIST_HEAD(done);

	mutex_lock(&p->pool_lock);
	list_for_each_entry_safe(pr, tmp, &p->stuck_probes, node) {
		if (pr->gen != READ_ONCE(p->gen))
			list_move(&pr->node, &done);
	}
	mutex_unlock(&p->pool_lock);
	list_for_each_entry_safe(pr, tmp, &done, node)
		liov_probe_free(pr);
}

/**
 * liov_probe_leak() - the parent goes: what the hardware may use stays for ever
 * @p: parent nobody uses any more
 */
void liov_probe_leak(struct liov_parent *p)
{
	liov_probe_reclaim(p);
	if (!list_empty(&p->stuck_probes))
		pci_warn(p->host->pdev, "lightiov: two pages are leaked for each of %zu queues that could not be deleted\n",
			 list_count_nodes(&p->stuck_probes));
}

/**
 * liov_probe_cq_head() - find out how this drive wants its CQ head
 * @p: parent; the controller is live
 *
 * Takes a spare pair and a vector for the time.  When it cannot ask (no spare
 * pair, no namespace, a reset in between) the answer is the safe one.
 * May sleep for seconds if the drive does not answer.
 *
 * Return: LIOV_CQ_HEAD_LAZY or LIOV_CQ_HEAD_TRACKED.
 */
enum liov_cq_head_mode liov_probe_cq_head(struct liov_parent *p)
{
	struct pci_dev *pdev = p->host->pdev;
	struct liov_probe *pr;
	unsigned int noio;
	int rc = -ENOMEM;

	pr = kzalloc(sizeof(*pr), GFP_KERNEL);
	if (!pr)
		return LIOV_CQ_HEAD_TRACKED;
	pr->p = p;
	init_completion(&pr->irq);
	pr->sq = dma_alloc_coherent(&pdev->dev, PAGE_SIZE, &pr->sq_dma, GFP_KERNEL);
	pr->cq = dma_alloc_coherent(&pdev->dev, PAGE_SIZE, &pr->cq_dma, GFP_KERNEL);
	pr->list = kmalloc(NVME_IDENTIFY_DATA_SIZE, GFP_KERNEL);
	if (!pr->sq || !pr->cq || !pr->list)
		goto out_free;

	/* Borrowed for the length of this section of the gate. */
	mutex_lock(&p->pool_lock);
	for (pr->qid = p->host->nr_granted; pr->qid > p->host->nr_host; pr->qid--) {
		if (!test_and_set_bit(pr->qid, p->qids))
			break;
	}
	mutex_unlock(&p->pool_lock);
	rc = -ENOSPC;
	if (pr->qid <= p->host->nr_host)
		goto out_free;

	rc = liov_host_enter(p->host);
	if (rc)
		goto out_qid;
	/* A reset waits for the section, and for a vector that is just being allocated. */
	noio = memalloc_noio_save();
	pr->gen = READ_ONCE(p->gen);
	rc = liov_probe_run(pr);
	memalloc_noio_restore(noio);
	liov_host_leave(p->host);
out_qid:
	if (rc < 0)
		liov_probe_say(pr, rc);
	if (liov_probe_return(pr))
		liov_probe_free(pr);
	return rc == 1 ? LIOV_CQ_HEAD_LAZY : LIOV_CQ_HEAD_TRACKED;

out_free:
	liov_probe_say(pr, rc);
	liov_probe_free(pr);
	return LIOV_CQ_HEAD_TRACKED;
}
