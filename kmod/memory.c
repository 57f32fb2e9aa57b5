// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory of an instance in direct mode.
 *
 * Owns the windows: ranges of guest RAM that are pinned through VFIO and mapped
 * for the drive at one linear run of bus addresses, so that the guest's DMA
 * addresses are its own physical addresses plus a constant.  They are made by
 * the mailbox in configuration space (uapi/lightiov.h) and dropped when VFIO
 * unmaps the range, at VFIO reset and at close.
 *
 * Also the access to guest memory that admin commands need.  Until the first
 * window exists the guest's addresses are guest-physical; from then on they are
 * bus addresses and must lie in a window.
 *
 * liov_mem.lock covers the list.  The mailbox's worker holds it for as long as
 * pinning takes (seconds for a large guest); register accesses do not need it.
 * The worker does not take liov_instance.lock, so whoever holds that may wait
 * for it.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "lightiov.h"

/*
 * A scatterlist entry must not straddle a segment boundary (4 GiB by default),
 * or iommu_dma_map_sg() pads in front of it and the mapping is not linear.
 * Entries that never cross a multiple of this size, counted from the window's
 * start, cannot.
 */
#define LIOV_SG_STEP	SZ_2M

static_assert(LIOV_PIN_BATCH * PAGE_SIZE == LIOV_SG_STEP);

static void liov_mem_work(struct work_struct *work);

/**
 * liov_mem_init() - prepare an instance's memory; once, at creation
 * @inst: instance
 */
void liov_mem_init(struct liov_instance *inst)
{
	mutex_init(&inst->mem.lock);
	INIT_LIST_HEAD(&inst->mem.windows);
	INIT_WORK(&inst->mem.work, liov_mem_work);
}

/**
 * liov_mem_check_iommu() - can windows be made for an instance of this controller?
 * @inst: instance
 *
 * A window is linear because the IOMMU's DMA domain makes it so; with the
 * IOMMU absent or in passthrough a bus address is a host-physical address and
 * scattered pages stay scattered.
 *
 * Return: 0, or -EOPNOTSUPP after saying what to change.
 */
int liov_mem_check_iommu(struct liov_instance *inst)
{
	struct pci_dev *pdev = inst->parent->host->pdev;
	struct iommu_domain *domain = iommu_get_domain_for_dev(&pdev->dev);

	if (domain && iommu_is_dma_domain(domain))
		return 0;
	liov_guest_warn(inst, "lightiov: direct mode needs the host IOMMU to translate for %s, which is %s; boot the host with %siommu.passthrough=0\n",
			pci_name(pdev), domain ? "in passthrough mode" : "without an IOMMU",
			domain ? "" : "the IOMMU on (intel_iommu=on or amd_iommu=on) and ");
	return -EOPNOTSUPP;
}

/* Does [addr, addr + len) touch one of this instance's own BARs? */
static bool liov_mem_hits_bar(struct liov_instance *inst, u64 addr, u64 len)
{
	static const struct { int bar; u64 size; } bars[] = {
		{ 0, LIOV_BAR0_SIZE }, { LIOV_BAR_MSIX, LIOV_MSIX_BAR_SIZE },
	};
	unsigned int i;

	lockdep_assert_held(&inst->reg_lock);
	for (i = 0; i < ARRAY_SIZE(bars); i++) {
		u64 start = liov_pci_bar_addr(&inst->pci, bars[i].bar);

		if (start != ~0ULL && addr < start + bars[i].size &&
		    start < addr + len)
			return true;
	}
	return false;
}

static struct liov_window *liov_window_of_bus(struct liov_mem *mem, u64 addr, u64 len)
{
	struct liov_window *w;

	lockdep_assert_held(&mem->lock);
	list_for_each_entry(w, &mem->windows, node) {
		if (addr >= w->bus && addr - w->bus < w->size &&
		    len <= w->size - (addr - w->bus))
			return w;
	}
	return NULL;
}

/**
 * liov_mem_has_window() - has the guest asked for a window?
 * @inst: instance
 *
 * Return: whether guest addresses are bus addresses.
 */
bool liov_mem_has_window(struct liov_instance *inst)
{
	return !list_empty_careful(&inst->mem.windows);
}

/**
 * liov_mem_to_gpa() - a guest's DMA address as guest-physical address
 * @inst: instance
 * @addr: DMA address from the guest
 * @len:  bytes
 * @gpa:  result
 *
 * May sleep.  Return: 0, or -EFAULT if the range is not inside one window.
 */
int liov_mem_to_gpa(struct liov_instance *inst, u64 addr, u64 len, u64 *gpa)
{
	struct liov_window *w;
	int rc = -EFAULT;

	mutex_lock(&inst->mem.lock);
	w = liov_window_of_bus(&inst->mem, addr, len);
	if (w) {
		*gpa = w->gpa + (addr - w->bus);
		rc = 0;
	}
	mutex_unlock(&inst->mem.lock);
	return rc;
}

/**
 * liov_mem_rw() - copy from or to guest memory
 * @inst:  open instance
 * @addr:  the guest's DMA address (see the head of this file)
 * @buf:   kernel buffer
 * @len:   bytes
 * @write: to the guest
 *
 * For admin commands; not for the fast path.  The caller holds the instance
 * lock.  May sleep; liov_mem.lock must not be held.
 *
 * Return: 0 or -EFAULT.
 */
int liov_mem_rw(struct liov_instance *inst, u64 addr, void *buf, u32 len, bool write)
{
	bool hits;
	u64 end;
	int rc;

	if (liov_mem_has_window(inst)) {
		rc = liov_mem_to_gpa(inst, addr, len, &addr);
		if (rc)
			return rc;
	}
	if (check_add_overflow(addr, (u64)len, &end))
		return -EFAULT;
	spin_lock(&inst->reg_lock);
	hits = liov_mem_hits_bar(inst, addr, len);
	spin_unlock(&inst->reg_lock);
	if (hits)
		return -EFAULT;
	return vfio_dma_rw(&inst->vdev, addr, buf, len, write) ? -EFAULT : 0;
}

/*
 * Appends what was pinned to the window's table.  Its first page begins a new entry, or
 * one that begins before a multiple of LIOV_SG_STEP could end behind it.
 */
static int liov_window_append(struct liov_window *w, struct page **pages, unsigned int n,
			      unsigned int left)
{
	int rc;

	rc = sg_alloc_append_table_from_pages(&w->table, pages, 1, 0, PAGE_SIZE, PAGE_SIZE,
					      n - 1 + left, GFP_KERNEL_ACCOUNT);
	if (rc || n == 1)
		return rc;
	return sg_alloc_append_table_from_pages(&w->table, pages + 1, n - 1, 0,
						(n - 1) * PAGE_SIZE, LIOV_SG_STEP, left,
						GFP_KERNEL_ACCOUNT);
}

/*
 * Pins all of it and makes its table, a piece at a time: of a window of any size no
 * more is allocated than the entries of its table.
 */
static int liov_window_pin(struct liov_instance *inst, struct liov_window *w,
			   const char **remedy)
{
	unsigned long npages = w->size >> PAGE_SHIFT, done = 0;
	struct page **pages;
	int rc = 0;

	*remedy = "; the host has no memory for the table of its pages";
	pages = kmalloc_array(LIOV_PIN_BATCH, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	while (done < npages) {
		unsigned int n = min_t(unsigned long, npages - done, LIOV_PIN_BATCH);
		u64 at = w->gpa + ((u64)done << PAGE_SHIFT);

		rc = liov_pin(inst, at, pages, n, IOMMU_READ | IOMMU_WRITE, &inst->mem.cancel);
		if (rc) {
			*remedy = rc == -ENOMEM ? NULL : "; not all of it is memory of the VM's";
			break;
		}
		done += n;
		rc = liov_window_append(w, pages, n, npages - done);
		if (rc)
			break;
	}
	kfree(pages);
	if (!rc)
		return 0;
	sg_free_append_table(&w->table);
	liov_unpin(inst, w->gpa, done);
	return rc;
}

static long liov_window_cost(const struct liov_window *w)
{
	return sizeof(*w) + (long)w->table.sgt.orig_nents * sizeof(struct scatterlist);
}

static bool liov_window_linear(struct liov_window *w)
{
	struct scatterlist *sg;
	dma_addr_t next = sg_dma_address(w->table.sgt.sgl);
	unsigned int i;

	for_each_sgtable_dma_sg(&w->table.sgt, sg, i) {
		if (sg_dma_address(sg) != next)
			return false;
		next += sg_dma_len(sg);
	}
	return next - sg_dma_address(w->table.sgt.sgl) == w->size;
}

static void liov_window_free(struct liov_instance *inst, struct liov_window *w)
{
	struct device *dma_dev = &inst->parent->host->pdev->dev;

	dma_unmap_sgtable(dma_dev, &w->table.sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	liov_count_host(inst, -liov_window_cost(w));
	sg_free_append_table(&w->table);
	liov_unpin(inst, w->gpa, w->size >> PAGE_SHIFT);
	inst->mem.pinned -= w->size;
	list_del(&w->node);
	kfree(w);
}

static int liov_window_make(struct liov_instance *inst, u64 gpa, u64 size,
			    struct liov_window **out, const char **remedy)
{
	struct device *dma_dev = &inst->parent->host->pdev->dev;
	struct liov_window *w;
	int rc;

	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return -ENOMEM;
	w->gpa = gpa;
	w->size = size;

	rc = liov_window_pin(inst, w, remedy);
	if (rc)
		goto err_free;
	*remedy = "";
	rc = dma_map_sgtable(dma_dev, &w->table.sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	if (rc)
		goto err_unpin;
	if (!liov_window_linear(w)) {
		liov_guest_warn(inst, "lightiov: the host's DMA mapping of %#llx bytes is not linear; direct mode cannot work on %s\n",
				size, pci_name(inst->parent->host->pdev));
		rc = -EOPNOTSUPP;
		goto err_map;
	}
	w->bus = sg_dma_address(w->table.sgt.sgl);
	list_add_tail(&w->node, &inst->mem.windows);
	inst->mem.pinned += size;
	liov_count_host(inst, liov_window_cost(w));
	*out = w;
	return 0;

err_map:
	dma_unmap_sgtable(dma_dev, &w->table.sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
err_unpin:
	sg_free_append_table(&w->table);
	liov_unpin(inst, gpa, size >> PAGE_SHIFT);
err_free:
	kfree(w);
	return rc;
}

static int liov_mem_map(struct liov_instance *inst, u64 gpa, u64 size, u64 *bus)
{
	const char *remedy = "";
	struct liov_window *w;
	u64 end = gpa + size;
	int rc;

	mutex_lock(&inst->mem.lock);
	list_for_each_entry(w, &inst->mem.windows, node) {
		if (gpa >= w->gpa && end <= w->gpa + w->size)
			goto found;
		if (gpa < w->gpa + w->size && w->gpa < end) {
			rc = -EEXIST;
			goto out;
		}
	}
	rc = liov_mem_check_iommu(inst);
	if (!rc)
		rc = liov_window_make(inst, gpa, size, &w, &remedy);
	if (rc == -EAGAIN)
		goto out;
	if (rc) {
		/* What could not be pinned for want of memory, liov_pin() has told of. */
		if (remedy)
			liov_guest_warn(inst, "lightiov: cannot map guest memory %#llx + %#llx (%d)%s\n",
					gpa, size, rc, remedy);
		goto out;
	}
found:
	*bus = w->bus + (gpa - w->gpa);
	rc = 0;
out:
	mutex_unlock(&inst->mem.lock);
	return rc;
}

/**
 * liov_mem_drop() - drop all windows that touch [iova, iova + len)
 * @inst: instance whose hardware has let go of them
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * May sleep.
 */
void liov_mem_drop(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_window *w, *tmp;

	mutex_lock(&inst->mem.lock);
	list_for_each_entry_safe(w, tmp, &inst->mem.windows, node) {
		if (w->gpa <= iova + (len - 1) && iova <= w->gpa + (w->size - 1))
			liov_window_free(inst, w);
	}
	mutex_unlock(&inst->mem.lock);
}

/* Memory other than what is asked for may be taken away meanwhile: begins again then. */
static int liov_mem_map_patiently(struct liov_instance *inst)
{
	struct liov_mem *mem = &inst->mem;
	int rc;

	for (;;) {
		rc = liov_mem_map(inst, mem->req.gpa, mem->req.size, &mem->bus);
		if (rc != -EAGAIN || READ_ONCE(mem->cancel))
			return rc;
		msleep(LIOV_QUIET_MS);
	}
}

/*
 * Takes liov_mem.lock only, so that the owner of liov_instance.lock may wait for
 * it.  The result is handed over by @done.
 */
static void liov_mem_work(struct work_struct *work)
{
	struct liov_mem *mem = container_of(work, struct liov_mem, work);
	struct liov_instance *inst = container_of(mem, struct liov_instance, mem);
	struct mem_cgroup *old = liov_charge_begin(inst);

	mem->bus = 0;
	mem->rc = 0;
	if (mem->req.cmd != LIGHTIOV_CMD_MAP)
		liov_mem_drop(inst, 0, U64_MAX);
	else
		mem->rc = liov_mem_map_patiently(inst);
	liov_charge_end(old);
	/* After @rc and @bus; pairs with liov_mem_poll(). */
	smp_store_release(&mem->done, true);
}

static void liov_mem_answer(struct liov_instance *inst, u32 status, int rc, u64 bus)
{
	liov_pci_vsec_set(&inst->pci, LIGHTIOV_CAP_BUS_LO, lower_32_bits(bus));
	liov_pci_vsec_set(&inst->pci, LIGHTIOV_CAP_BUS_HI, upper_32_bits(bus));
	liov_pci_vsec_set(&inst->pci, LIGHTIOV_CAP_ERRNO, -rc);
	liov_pci_vsec_set(&inst->pci, LIGHTIOV_CAP_STATUS, status);
}

static void liov_mem_finish(struct liov_instance *inst, int rc, u64 bus)
{
	liov_mem_answer(inst, rc ? LIGHTIOV_STATUS_ERROR : LIGHTIOV_STATUS_DONE, rc, bus);
}

/**
 * liov_mem_poll() - the guest is about to read the mailbox
 * @inst: open instance; the caller holds its reg_lock
 */
void liov_mem_poll(struct liov_instance *inst)
{
	struct liov_mem *mem = &inst->mem;

	lockdep_assert_held(&inst->reg_lock);
	/* Before @rc and @bus; pairs with liov_mem_work(). */
	if (!mem->busy || !smp_load_acquire(&mem->done))
		return;
	mem->busy = false;
	liov_mem_finish(inst, mem->rc, mem->bus);
}

/**
 * liov_mem_cancel() - no mailbox command after this
 * @inst: open instance; the caller holds its lock
 *
 * One that runs is cut short and forgotten; windows it made stay.  May sleep.
 */
void liov_mem_cancel(struct liov_instance *inst)
{
	struct liov_mem *mem = &inst->mem;

	lockdep_assert_held(&inst->lock);
	WRITE_ONCE(mem->cancel, true);
	cancel_work_sync(&mem->work);
	WRITE_ONCE(mem->cancel, false);
	spin_lock(&inst->reg_lock);
	/* The guest may have written another command since. */
	if (mem->busy && !work_busy(&mem->work)) {
		mem->busy = false;
		liov_mem_answer(inst, LIGHTIOV_STATUS_IDLE, 0, 0);
	}
	spin_unlock(&inst->reg_lock);
}

/**
 * liov_mem_is_busy() - is a mailbox command under way?
 * @inst: open instance; the caller holds its lock
 *
 * Does not sleep.
 *
 * Return: whether one is; if not, windows are what they stay until the next one.
 */
bool liov_mem_is_busy(struct liov_instance *inst)
{
	struct liov_mem *mem = &inst->mem;
	bool busy;

	lockdep_assert_held(&inst->lock);
	spin_lock(&inst->reg_lock);
	/* Before the windows; pairs with liov_mem_work(). */
	busy = mem->busy && !smp_load_acquire(&mem->done);
	spin_unlock(&inst->reg_lock);
	return busy;
}

/**
 * liov_mem_mailbox() - the guest wrote LIGHTIOV_CAP_CMD
 * @inst: open instance; the caller holds its reg_lock
 *
 * Commands run in the background, as they may take seconds.  One that comes
 * while another runs is ignored, as the interface says.
 */
void liov_mem_mailbox(struct liov_instance *inst)
{
	u32 cmd = liov_pci_vsec_get(&inst->pci, LIGHTIOV_CAP_CMD);
	struct liov_mem *mem = &inst->mem;
	u64 end;

	liov_mem_poll(inst);
	if (mem->busy || cmd == LIGHTIOV_CMD_NONE)
		return;
	if (!inst->mode->windows) {
		liov_mem_finish(inst, -EOPNOTSUPP, 0);
		return;
	}
	switch (cmd) {
	case LIGHTIOV_CMD_MAP:
		mem->req.gpa = liov_pci_vsec_get(&inst->pci, LIGHTIOV_CAP_GPA_LO) |
			       (u64)liov_pci_vsec_get(&inst->pci, LIGHTIOV_CAP_GPA_HI) << 32;
		mem->req.size = liov_pci_vsec_get(&inst->pci, LIGHTIOV_CAP_SIZE_LO) |
				(u64)liov_pci_vsec_get(&inst->pci, LIGHTIOV_CAP_SIZE_HI) << 32;
		if (!mem->req.size || !PAGE_ALIGNED(mem->req.gpa) ||
		    !PAGE_ALIGNED(mem->req.size) ||
		    check_add_overflow(mem->req.gpa, mem->req.size, &end) ||
		    mem->req.size >> PAGE_SHIFT > U32_MAX ||
		    liov_mem_hits_bar(inst, mem->req.gpa, mem->req.size)) {
			liov_mem_finish(inst, -EINVAL, 0);
			return;
		}
		break;
	case LIGHTIOV_CMD_UNMAP_ALL:
		/* While nothing is under way nobody makes a queue, and enabling waits for this. */
		if (!liov_control_is_idle(inst) || liov_queues_made(inst)) {
			liov_mem_finish(inst, -EBUSY, 0);
			return;
		}
		break;
	default:
		liov_mem_finish(inst, -EINVAL, 0);
		return;
	}
	mem->req.cmd = cmd;
	mem->busy = true;
	mem->done = false;
	liov_pci_vsec_set(&inst->pci, LIGHTIOV_CAP_STATUS, LIGHTIOV_STATUS_BUSY);
	liov_queue_work(inst, &mem->work);
}

/* Is a MAP under way that touches [iova, iova + len)? */
static bool liov_mem_mapping(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_mem *mem = &inst->mem;
	bool hit;

	lockdep_assert_held(&inst->lock);
	spin_lock(&inst->reg_lock);
	hit = mem->busy && mem->req.cmd == LIGHTIOV_CMD_MAP &&
		mem->req.gpa <= iova + (len - 1) && iova <= mem->req.gpa + (mem->req.size - 1);
	spin_unlock(&inst->reg_lock);
	return hit;
}

/**
 * liov_mem_unmapping() - VFIO takes guest memory away: a MAP of it ends
 * @inst: instance; the caller holds its lock
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * May sleep.
 */
void liov_mem_unmapping(struct liov_instance *inst, u64 iova, u64 len)
{
	if (liov_mem_mapping(inst, iova, len))
		liov_mem_cancel(inst);
}

/**
 * liov_mem_overlaps() - does a window touch [iova, iova + len)?
 * @inst: instance; the caller holds its lock
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * May sleep while a window is made.  Return: whether one does.
 */
bool liov_mem_overlaps(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_window *w;
	bool hit = false;

	mutex_lock(&inst->mem.lock);
	list_for_each_entry(w, &inst->mem.windows, node)
		hit |= w->gpa <= iova + (len - 1) && iova <= w->gpa + (w->size - 1);
	mutex_unlock(&inst->mem.lock);
	return hit;
}

/**
 * liov_mem_leak() - give up all windows without unmapping them
 * @inst: instance whose hardware queues could not be deleted
 *
 * The last resort when no fence can be had: the hardware may still write
 * there, so the pages must never be used for anything else.
 */
void liov_mem_leak(struct liov_instance *inst)
{
	struct liov_window *w, *tmp;

	mutex_lock(&inst->mem.lock);
	list_for_each_entry_safe(w, tmp, &inst->mem.windows, node) {
		struct sg_page_iter it;

		for_each_sgtable_page(&w->table.sgt, &it, 0)
			get_page(sg_page_iter_page(&it));
		dev_crit(liov_dev(inst), "lightiov: %#llx bytes of guest memory leaked: %s may still write to them; reboot the host\n",
			 w->size, pci_name(inst->parent->host->pdev));
		liov_unpin(inst, w->gpa, w->size >> PAGE_SHIFT);
		inst->mem.pinned -= w->size;
		list_del(&w->node);
		/* @w and its table stay allocated with the mapping. */
	}
	mutex_unlock(&inst->mem.lock);
}
