// SPDX-License-Identifier: GPL-2.0
/*
 * LightIOV guest helper: the host's mailbox in configuration space.
 *
 * Finds the vendor-specific capability and speaks its protocol (uapi/lightiov.h).
 * A function's mailbox has one user at a time: main.c calls from the bus
 * notifier, under the device lock.  Everything here may sleep.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/dma-direct.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include "../../uapi/lightiov.h"
#include "guest.h"

/*
 * How long the host may take for one window.  It pins and maps each page: half
 * a second per GiB on hardware, several seconds under emulation, a minute and a half
 * if the emulated host's kernel also looks for mistakes and has other things to do.  A
 * host that is gone does not answer "busy", so waiting long costs nothing.
 */
#define LIOV_GUEST_WAIT_MS		30000
#define LIOV_GUEST_WAIT_MS_PER_GIB	240000

static u32 liov_guest_get(struct pci_dev *pdev, int vsec, int field)
{
	u32 val = U32_MAX;

	pci_read_config_dword(pdev, vsec + field, &val);
	return val;
}

static void liov_guest_put64(struct pci_dev *pdev, int vsec, int field, u64 val)
{
	pci_write_config_dword(pdev, vsec + field, lower_32_bits(val));
	pci_write_config_dword(pdev, vsec + field + 4, upper_32_bits(val));
}

/*
 * Returns the offset of the LightIOV capability of a function in direct mode, 0
 * for anything else.  Other devices may have vendor-specific capabilities too.
 */
int liov_guest_find_cap(struct pci_dev *pdev)
{
	u32 hdr, magic;
	int pos;

	for (pos = pci_find_capability(pdev, PCI_CAP_ID_VNDR); pos;
	     pos = pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR)) {
		if (pos + LIGHTIOV_CAP_LEN > PCI_CFG_SPACE_SIZE)
			continue;
		hdr = liov_guest_get(pdev, pos, LIGHTIOV_CAP_HDR);
		magic = liov_guest_get(pdev, pos, LIGHTIOV_CAP_MAGIC);
		if (hdr == U32_MAX || magic != LIGHTIOV_MAGIC ||
		    ((hdr >> 16) & 0xff) < LIGHTIOV_CAP_LEN)
			continue;
		if (hdr >> 24 != LIGHTIOV_CAP_VERSION) {
			pci_warn(pdev, "LightIOV: the host speaks version %u of the interface, this module %u; update the module (%s)\n",
				 hdr >> 24, LIGHTIOV_CAP_VERSION, KBUILD_MODNAME);
			return 0;
		}
		if (!(liov_guest_get(pdev, pos, LIGHTIOV_CAP_FLAGS) & LIGHTIOV_FLAG_DIRECT))
			return 0;
		return pos;
	}
	return 0;
}

/*
 * Waits until the mailbox is not busy.  Returns STATUS, -ETIMEDOUT, or -ENODEV
 * when the function is gone (configuration space reads all ones).
 */
static int liov_guest_wait(struct pci_dev *pdev, int vsec, unsigned int timeout_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);
	unsigned int pause_us = 500;
	u32 status;

	for (;;) {
		bool last = time_after(jiffies, end);

		status = liov_guest_get(pdev, vsec, LIGHTIOV_CAP_STATUS);
		if (status == U32_MAX)
			return -ENODEV;
		if (status != LIGHTIOV_STATUS_BUSY)
			return status;
		if (last)
			return -ETIMEDOUT;
		usleep_range(pause_us, 2 * pause_us);
		pause_us = min(2 * pause_us, 20000U);
	}
}

/* One command: 0 or a negative errno, the host's own when it gave one. */
static int liov_guest_command(struct pci_dev *pdev, int vsec, u32 cmd,
			      unsigned int timeout_ms)
{
	int rc;

	pci_write_config_dword(pdev, vsec + LIGHTIOV_CAP_CMD, cmd);
	rc = liov_guest_wait(pdev, vsec, timeout_ms);
	if (rc < 0)
		return rc;
	if (rc != LIGHTIOV_STATUS_DONE) {
		rc = liov_guest_get(pdev, vsec, LIGHTIOV_CAP_ERRNO);
		return rc > 0 && rc <= MAX_ERRNO ? -rc : -EIO;
	}
	return 0;
}

/* Asks the host for the window of @r and fills in its bus address. */
int liov_guest_map_window(struct pci_dev *pdev, int vsec, struct bus_dma_region *r)
{
	unsigned int timeout_ms;
	u64 bus, end;
	int rc;

	timeout_ms = LIOV_GUEST_WAIT_MS +
		     min_t(u64, DIV_ROUND_UP_ULL(r->size, SZ_1G), 1024) *
		     LIOV_GUEST_WAIT_MS_PER_GIB;

	/* Left busy by a bind that gave up waiting: a command now would be ignored. */
	rc = liov_guest_wait(pdev, vsec, timeout_ms);
	if (rc < 0)
		return rc;

	liov_guest_put64(pdev, vsec, LIGHTIOV_CAP_GPA_LO, r->cpu_start);
	liov_guest_put64(pdev, vsec, LIGHTIOV_CAP_SIZE_LO, r->size);
	rc = liov_guest_command(pdev, vsec, LIGHTIOV_CMD_MAP, timeout_ms);
	if (rc)
		return rc;

	bus = liov_guest_get(pdev, vsec, LIGHTIOV_CAP_BUS_LO) |
	      (u64)liov_guest_get(pdev, vsec, LIGHTIOV_CAP_BUS_HI) << 32;
	/* The core calls DMA_MAPPING_ERROR what lies in the last page. */
	if (!PAGE_ALIGNED(bus) || check_add_overflow(bus, r->size, &end))
		return -EPROTO;
	if (pdev->dev.bus_dma_limit && end - 1 > pdev->dev.bus_dma_limit)
		return -ERANGE;
	r->dma_start = bus;
	return 0;
}

/*
 * Takes back whatever windows an earlier bind left in the host.  A driver that
 * shut the controller down may have left CC.EN set, which holds them: a function
 * level reset clears it.  Nobody uses the function yet.
 */
void liov_guest_unmap_all(struct pci_dev *pdev, int vsec)
{
	int rc;

	rc = liov_guest_wait(pdev, vsec, LIOV_GUEST_WAIT_MS);
	if (rc >= 0)
		rc = liov_guest_command(pdev, vsec, LIGHTIOV_CMD_UNMAP_ALL,
					LIOV_GUEST_WAIT_MS);
	if (rc == -EBUSY) {
		pci_save_state(pdev);
		rc = pcie_reset_flr(pdev, PCI_RESET_DO_RESET);
		pci_restore_state(pdev);
		if (!rc)
			rc = liov_guest_command(pdev, vsec, LIGHTIOV_CMD_UNMAP_ALL,
						LIOV_GUEST_WAIT_MS);
	}
	if (rc)
		pci_warn(pdev, "LightIOV: the host did not take its DMA windows back (%d); memory stays pinned until the VM ends\n",
			 rc);
}
