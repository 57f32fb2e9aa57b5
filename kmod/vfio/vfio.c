// SPDX-License-Identifier: GPL-2.0
/*
 * The VFIO face of an instance: regions, interrupts, reset, as vfio-pci shows
 * them.  Owns nothing; checks what user space says and calls control.c,
 * track.c and irq.c.  Accesses to regions and VFIO_DEVICE_SET_IRQS never take
 * liov_instance.lock: user space may hold a lock of its own over them that stops a whole VM.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "vfio/vfio.h"

/*
 * QEMU stops the whole VM at VFIO's ERR, and a VM that stands still cannot let go of a
 * device.  Its guest hears of the loss by its virtual controller.
 */
static bool liov_stop_vm_on_loss;
module_param_named(stop_vm_on_loss, liov_stop_vm_on_loss, bool, 0644);
MODULE_PARM_DESC(stop_vm_on_loss,
		 "tell QEMU too when a controller is lost, by VFIO's error interrupt, at which it stops the VM; for devices opened from now on (default N)");

static u64 liov_region_size(unsigned int index)
{
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return LIOV_BAR0_SIZE;
	case VFIO_PCI_BAR0_REGION_INDEX + LIOV_BAR_MSIX:
		return LIOV_MSIX_BAR_SIZE;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return PCI_CFG_SPACE_SIZE;
	default:
		return 0;
	}
}

/* ---- region accesses of 1, 2, 4 or 8 bytes, not crossing their size ---- */

static void liov_bar0_read(struct liov_instance *inst, u64 off, void *buf, unsigned int n)
{
	__le64 val = 0;

	/* Doorbells are write-only; they read as zero. */
	if (off < LIOV_DB_BASE)
		val = cpu_to_le64(liov_control_reg_read(inst, off, n));
	memcpy(buf, &val, n);
}

/* Of SQ 0, CQ 0, SQ 1, ...; the admin queue's are no RAM pages. */
static void liov_doorbell_store(struct liov_instance *inst, u64 reg, u32 val)
{
	if (reg < 2)
		liov_admin_doorbell(inst, reg & 1, val);
	else
		liov_doorbell_write(inst, reg, val);
}

static void liov_bar0_write(struct liov_instance *inst, u64 off, const void *buf,
			    unsigned int n)
{
	__le64 val = 0;

	memcpy(&val, buf, n);
	if (off >= LIOV_DB_BASE) {
		/* The rest of each page is reserved. */
		if (n == sizeof(u32) && !((off - LIOV_DB_BASE) % LIGHTIOV_DB_STRIDE))
			liov_doorbell_store(inst, (off - LIOV_DB_BASE) / LIGHTIOV_DB_STRIDE,
					    le64_to_cpu(val));
		return;
	}
	liov_control_reg_write(inst, off, le64_to_cpu(val), n);
}

static void liov_region_access(struct liov_instance *inst, unsigned int index, u64 off,
			       void *buf, unsigned int n, bool write)
{
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		if (write)
			liov_bar0_write(inst, off, buf, n);
		else
			liov_bar0_read(inst, off, buf, n);
		break;
	case VFIO_PCI_BAR0_REGION_INDEX + LIOV_BAR_MSIX:
		liov_control_msix_access(inst, off, buf, n, write);
		break;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		if (write)
			liov_control_config_write(inst, off, buf, n);
		else
			liov_control_config_read(inst, off, buf, n);
		break;
	}
}

static ssize_t liov_vfio_rw(struct liov_instance *inst, char __user *ubuf, size_t count,
			    loff_t *ppos, bool write)
{
	unsigned int index = *ppos >> LIOV_REGION_SHIFT;
	u64 off = *ppos & LIOV_REGION_MASK;
	u64 size = liov_region_size(index);
	size_t done = 0;

	if (*ppos < 0 || !size || off >= size)
		return -EINVAL;
	off = array_index_nospec(off, size);
	count = min_t(u64, count, size - off);
	while (done < count) {
		unsigned int n = 8;
		u8 buf[8];

		while (n > count - done || off % n)
			n /= 2;
		if (write && copy_from_user(buf, ubuf + done, n))
			return -EFAULT;
		liov_region_access(inst, index, off, buf, n, write);
		if (!write && copy_to_user(ubuf + done, buf, n))
			return -EFAULT;
		done += n;
		off += n;
	}
	*ppos += done;
	return done;
}

static ssize_t liov_vfio_read(struct vfio_device *vdev, char __user *buf, size_t count,
			      loff_t *ppos)
{
	return liov_vfio_rw(liov_from_vdev(vdev), buf, count, ppos, false);
}

static ssize_t liov_vfio_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			       loff_t *ppos)
{
	return liov_vfio_rw(liov_from_vdev(vdev), (char __user *)buf, count, ppos, true);
}

static int liov_vfio_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	u64 off = (u64)vma->vm_pgoff << PAGE_SHIFT;

	if (off >> LIOV_REGION_SHIFT != VFIO_PCI_BAR0_REGION_INDEX)
		return -EINVAL;
	return liov_doorbell_mmap(liov_from_vdev(vdev), vma);
}

/* ---- ioctls ---- */

static int liov_get_info(unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info = {};

	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user((void __user *)arg, &info, minsz) ? -EFAULT : 0;
}

/* Which part of BAR0 can be mapped: the I/O doorbell pages. */
static int liov_sparse_cap(struct liov_instance *inst, struct vfio_info_cap *caps)
{
	struct vfio_region_info_cap_sparse_mmap *sparse;
	size_t size = struct_size(sparse, areas, 1);
	int rc;

	sparse = kzalloc(size, GFP_KERNEL);
	if (!sparse)
		return -ENOMEM;
	sparse->header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	sparse->header.version = 1;
	sparse->nr_areas = 1;
	sparse->areas[0].offset = LIOV_DB_BASE + 2 * LIGHTIOV_DB_STRIDE;
	sparse->areas[0].size = 2ULL * inst->nr_pairs * LIGHTIOV_DB_STRIDE;
	rc = vfio_info_add_capability(caps, &sparse->header, size);
	kfree(sparse);
	return rc;
}

static int liov_fill_region_info(struct liov_instance *inst, struct vfio_region_info *info,
				 struct vfio_info_cap *caps)
{
	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->offset = LIOV_REGION_OFFSET(info->index);
	info->size = liov_region_size(info->index);
	info->flags = info->size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	if (info->index == VFIO_PCI_BAR0_REGION_INDEX && liov_doorbell_mappable(inst)) {
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		return liov_sparse_cap(inst, caps);
	}
	return 0;
}

#ifdef LIOV_HAVE_GET_REGION_INFO_CAPS
static int liov_vfio_get_region_info_caps(struct vfio_device *vdev,
					  struct vfio_region_info *info,
					  struct vfio_info_cap *caps)
{
	return liov_fill_region_info(liov_from_vdev(vdev), info, caps);
}
#else
static int liov_get_region_info(struct liov_instance *inst, unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_info_cap caps = {};
	struct vfio_region_info info = {};
	int rc;

	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	rc = liov_fill_region_info(inst, &info, &caps);
	if (rc)
		return rc;
	info.cap_offset = 0;
	if (caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = sizeof(info) + caps.size;
		} else {
			vfio_info_cap_shift(&caps, sizeof(info));
			if (copy_to_user((void __user *)arg + sizeof(info), caps.buf, caps.size))
				rc = -EFAULT;
			info.cap_offset = sizeof(info);
		}
		kfree(caps.buf);
	}
	if (!rc && copy_to_user((void __user *)arg, &info, minsz))
		rc = -EFAULT;
	return rc;
}
#endif

static unsigned int liov_irq_count(struct liov_instance *inst, unsigned int index)
{
	switch (index) {
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return inst->nr_vectors;
	case VFIO_PCI_ERR_IRQ_INDEX:
		return inst->offers_err;
	case VFIO_PCI_REQ_IRQ_INDEX:
		return 1;
	default:
		return 0;
	}
}

static int liov_get_irq_info(struct liov_instance *inst, unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info = {};

	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.count = liov_irq_count(inst, info.index);
	/* As vfio-pci for a device without; QEMU has a warning for a count of 0. */
	if (info.index == VFIO_PCI_ERR_IRQ_INDEX && !info.count)
		return -EINVAL;
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	return copy_to_user((void __user *)arg, &info, minsz) ? -EFAULT : 0;
}

/* ERR and REQ: one eventfd each; as vfio_pci_set_ctx_trigger_single(). */
static int liov_set_single(struct liov_virq *v, const struct vfio_irq_set *hdr, const void *data)
{
	struct eventfd_ctx *old, *new = NULL;
	s32 fd;

	switch (hdr->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (hdr->count)
			return liov_virq_loopback(v) ? 0 : -EINVAL;
		break;
	case VFIO_IRQ_SET_DATA_BOOL:
		/* Without a count there are no data. */
		if (!hdr->count)
			return -EINVAL;
		if (*(const u8 *)data)
			liov_virq_loopback(v);
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		if (!hdr->count)
			return -EINVAL;
		fd = *(const s32 *)data;
		if (fd < 0)
			break;
		new = eventfd_ctx_fdget(fd);
		if (IS_ERR(new))
			return PTR_ERR(new);
		break;
	default:
		return -EINVAL;
	}
	old = liov_virq_set(v, new);
	if (old)
		eventfd_ctx_put(old);
	return 0;
}

static void liov_msix_loopback(struct liov_instance *inst, u32 vector)
{
	int i = liov_vector_index(&inst->queues, vector);

	if (i >= 0)
		liov_virq_signal(inst, i);
}

static int liov_set_msix_trigger(struct liov_instance *inst, u32 vector, s32 fd)
{
	int i = liov_vector_index(&inst->queues, vector);

	return i >= 0 ? liov_irq_set_trigger(inst, i, fd) : -EINVAL;
}

static int liov_set_msix(struct liov_instance *inst, const struct vfio_irq_set *hdr,
			 const void *data)
{
	unsigned int i;
	int rc;

	switch (hdr->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (!hdr->count)
			liov_irq_clear_triggers(inst);
		for (i = 0; i < hdr->count; i++)
			liov_msix_loopback(inst, hdr->start + i);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		for (i = 0; i < hdr->count; i++) {
			if (((u8 *)data)[i])
				liov_msix_loopback(inst, hdr->start + i);
		}
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		for (i = 0; i < hdr->count; i++) {
			rc = liov_set_msix_trigger(inst, hdr->start + i, ((s32 *)data)[i]);
			if (!rc)
				continue;
			/* All or nothing, as vfio-pci. */
			while (i--)
				liov_set_msix_trigger(inst, hdr->start + i, -1);
			return rc;
		}
		return 0;
	}
	return -ENOTTY;
}

static int liov_set_irqs(struct liov_instance *inst, unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_set hdr;
	size_t data_size = 0;
	void *data = NULL;
	int rc;

	if (copy_from_user(&hdr, (void __user *)arg, minsz))
		return -EFAULT;
	if (hdr.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	rc = vfio_set_irqs_validate_and_prepare(&hdr, liov_irq_count(inst, hdr.index),
						VFIO_PCI_NUM_IRQS, &data_size);
	if (rc)
		return rc;
	/* Masking is user space's: it replaces the eventfd. */
	if ((hdr.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	if (data_size) {
		data = memdup_user((u8 __user *)arg + minsz, data_size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}

	/* Under liov_parent.irq_lock and those of the vectors: never waits for the drive. */
	switch (hdr.index) {
	case VFIO_PCI_MSIX_IRQ_INDEX:
		rc = liov_set_msix(inst, &hdr, data);
		break;
	case VFIO_PCI_ERR_IRQ_INDEX:
		rc = liov_set_single(&inst->err, &hdr, data);
		break;
	case VFIO_PCI_REQ_IRQ_INDEX:
		rc = liov_set_single(&inst->req, &hdr, data);
		break;
	default:
		rc = -ENOTTY;
		break;
	}
	kfree(data);
	return rc;
}

static long liov_vfio_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	struct liov_instance *inst = liov_from_vdev(vdev);

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return liov_get_info(arg);
#ifndef LIOV_HAVE_GET_REGION_INFO_CAPS
	case VFIO_DEVICE_GET_REGION_INFO:
		return liov_get_region_info(inst, arg);
#endif
	case VFIO_DEVICE_GET_IRQ_INFO:
		return liov_get_irq_info(inst, arg);
	case VFIO_DEVICE_SET_IRQS:
		return liov_set_irqs(inst, arg);
	case VFIO_DEVICE_RESET:
		mutex_lock(&inst->lock);
		liov_control_function_reset(inst);
		mutex_unlock(&inst->lock);
		return 0;
	default:
		return -ENOTTY;
	}
}

/* ---- the rest ---- */

/* Whether ERR is there, for as long as it is open; raised at once if all is lost already. */
static void liov_open_err_irq(struct liov_instance *inst)
{
	struct liov_parent *p = inst->parent;

	mutex_lock(&p->pool_lock);
	liov_virq_reset(&inst->err);
	inst->offers_err = !inst->vdev.kvm || READ_ONCE(liov_stop_vm_on_loss);
	inst->err_raised = false;
	if (liov_host_is_gone(p->host))
		liov_vfio_lost(inst);
	mutex_unlock(&p->pool_lock);
}

/**
 * liov_vfio_lost() - the controller was given up, or has left
 * @inst: instance, open or not
 *
 * Tells user space by VFIO's ERR, once.  From the reset hooks, with pool_lock held.
 */
void liov_vfio_lost(struct liov_instance *inst)
{
	lockdep_assert_held(&inst->parent->pool_lock);
	if (!inst->offers_err || inst->err_raised)
		return;
	inst->err_raised = true;
	liov_virq_event(&inst->err);
}

static int liov_vfio_open(struct vfio_device *vdev)
{
	struct liov_instance *inst = liov_from_vdev(vdev);
	int rc = liov_instance_open(inst);

	if (!rc)
		liov_open_err_irq(inst);
	return rc;
}

static void liov_vfio_close(struct vfio_device *vdev)
{
	liov_instance_close(liov_from_vdev(vdev));
}

static void liov_vfio_dma_unmap(struct vfio_device *vdev, u64 iova, u64 len)
{
	liov_instance_dma_unmap(liov_from_vdev(vdev), iova, len);
}

/* The device is being removed: ask user space to let go, again and again. */
static void liov_vfio_request(struct vfio_device *vdev, unsigned int count)
{
	struct liov_instance *inst = liov_from_vdev(vdev);
	bool told = liov_virq_loopback(&inst->req);

	if (!(count % 10))
		liov_notice(inst, "waiting for the VM to release this device%s\n",
			    told ? "" : "; stop it");
}

static void liov_vfio_release(struct vfio_device *vdev)
{
	liov_instance_free(liov_from_vdev(vdev));
}

const struct vfio_device_ops liov_vfio_ops = {
	.name		= "lightiov",
	.release	= liov_vfio_release,
	.open_device	= liov_vfio_open,
	.close_device	= liov_vfio_close,
	.read		= liov_vfio_read,
	.write		= liov_vfio_write,
	.ioctl		= liov_vfio_ioctl,
#ifdef LIOV_HAVE_GET_REGION_INFO_CAPS
	.get_region_info_caps = liov_vfio_get_region_info_caps,
#endif
	.mmap		= liov_vfio_mmap,
	.request	= liov_vfio_request,
	.dma_unmap	= liov_vfio_dma_unmap,
	.bind_iommufd	= vfio_iommufd_emulated_bind,
	.unbind_iommufd	= vfio_iommufd_emulated_unbind,
	.attach_ioas	= vfio_iommufd_emulated_attach_ioas,
	.detach_ioas	= vfio_iommufd_emulated_detach_ioas,
};
