// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of PCI configuration space (PCIe Base section 7.5): identity is read
 * only, BARs tell their size, resets by FLR and power state, bus mastering.
 */
#include <string.h>

#include "abuse.h"

/* @arg: offset << 8 | bytes. */
static void field_is_read_only(struct test *t, struct nvme *n)
{
	u32 off = t->arg >> 8, len = t->arg & 0xff;
	u64 before = vfio_get(&n->v, CFG, off, len);

	vfio_put(&n->v, CFG, off, len, ~before);
	EXPECT(t, vfio_get(&n->v, CFG, off, len) == before, "%#llx became %#llx", before,
	       vfio_get(&n->v, CFG, off, len));
	vfio_put(&n->v, CFG, off, len, before);
}

static void class_is_nvme(struct test *t, struct nvme *n)
{
	EXPECT(t, vfio_get(&n->v, CFG, PCI_CLASS_REVISION, 4) >> 8 == 0x010802, "class %#llx",
	       vfio_get(&n->v, CFG, PCI_CLASS_REVISION, 4) >> 8);
	EXPECT(t, (vfio_get(&n->v, CFG, PCI_HEADER_TYPE, 1) & 0x7f) == 0, "header type");
}

static void reserved_command_bits_stay_zero(struct test *t, struct nvme *n)
{
	u16 before = vfio_get(&n->v, CFG, PCI_COMMAND, 2);

	/* Special cycles, MWI, VGA snoop, reserved 7 and 11..15. */
	vfio_put(&n->v, CFG, PCI_COMMAND, 2, before | 0xf8b8);
	EXPECT(t, !(vfio_get(&n->v, CFG, PCI_COMMAND, 2) & 0xf8b8), "COMMAND %#llx",
	       vfio_get(&n->v, CFG, PCI_COMMAND, 2));
	vfio_put(&n->v, CFG, PCI_COMMAND, 2, before);
}

/* @arg: BAR number; 64-bit BARs take two. */
static void bar_tells_its_size(struct test *t, struct nvme *n)
{
	u32 off = PCI_BASE_ADDRESS_0 + 4 * t->arg;
	u32 lo = vfio_get(&n->v, CFG, off, 4), hi = vfio_get(&n->v, CFG, off + 4, 4);
	u64 mask, size = n->v.region[t->arg].size;

	vfio_put(&n->v, CFG, off, 4, 0xffffffff);
	mask = vfio_get(&n->v, CFG, off, 4);
	if (lo & PCI_BASE_ADDRESS_MEM_TYPE_64) {
		vfio_put(&n->v, CFG, off + 4, 4, 0xffffffff);
		mask |= vfio_get(&n->v, CFG, off + 4, 4) << 32;
	} else if (mask) {
		mask |= 0xffffffff00000000ULL;
	}
	vfio_put(&n->v, CFG, off, 4, lo);
	vfio_put(&n->v, CFG, off + 4, 4, hi);
	EXPECT(t, (mask & 0xf) == (lo & 0xf), "type bits %#llx, were %#x", mask & 0xf, lo & 0xf);
	mask &= ~0xfULL;
	EXPECT(t, mask ? ~mask + 1 == size : !size, "mask %#llx, region of %#llx", mask, size);
}

static void no_rom(struct test *t, struct nvme *n)
{
	vfio_put(&n->v, CFG, PCI_ROM_ADDRESS, 4, 0xffffffff);
	EXPECT(t, n->v.region[VFIO_PCI_ROM_REGION_INDEX].size ||
	       !vfio_get(&n->v, CFG, PCI_ROM_ADDRESS, 4), "a ROM BAR without a ROM");
	vfio_put(&n->v, CFG, PCI_ROM_ADDRESS, 4, 0);
}

static void accesses_beyond_256_bytes(struct test *t, struct nvme *n)
{
	u8 before[256], after[256], buf[512];
	u64 size = n->v.region[CFG].size, off;

	vfio_read(&n->v, CFG, 0, before, sizeof(before));
	memset(buf, 0xff, sizeof(buf));
	for (off = 256; off < 4096; off += 4) {
		u32 val = 0xdeadbeef;
		ssize_t rc = vfio_read(&n->v, CFG, off, &val, 4);

		EXPECT(t, rc <= 0 || val == 0 || val == 0xffffffff, "%#llx reads %#x", off, val);
		vfio_write(&n->v, CFG, off, buf, 4);
	}
	EXPECT(t, vfio_read(&n->v, CFG, size, buf, 4) <= 0, "a read behind the region");
	memset(buf, 0xff, sizeof(buf));
	EXPECT(t, vfio_write(&n->v, CFG, size, buf, 4) <= 0, "a write behind the region");
	EXPECT(t, vfio_write(&n->v, CFG, size - 2, buf, 4) <= 2, "a write across the end");
	EXPECT(t, vfio_write(&n->v, CFG, 1ULL << 39, buf, 4) <= 0, "a write far behind");
	vfio_read(&n->v, CFG, 0, after, sizeof(after));
	EXPECT(t, !memcmp(before, after, sizeof(before)), "the first 256 bytes changed");
}

static void odd_sizes_and_offsets(struct test *t, struct nvme *n)
{
	u8 whole[256], part[64];
	u32 off, len;

	if (!EXPECT(t, vfio_read(&n->v, CFG, 0, whole, 256) == 256, "256 bytes at once"))
		return;
	for (len = 1; len <= 33; len += 2) {
		for (off = 0; off + len <= 256; off += 3) {
			ssize_t rc = vfio_read(&n->v, CFG, off, part, len);

			if (rc > 0)
				EXPECT(t, !memcmp(part, whole + off, rc), "%u bytes at %#x", len,
				       off);
		}
	}
}

/* As a guest gone mad: every bit of every register, FLR and mailbox among them. */
static void ones_everywhere(struct test *t, struct nvme *n)
{
	u64 ids = vfio_get(&n->v, CFG, 0, 4);
	u32 off;

	for (off = 0; off < 256; off += 4)
		vfio_put(&n->v, CFG, off, 4, t->arg);
	sleep_us(200000);
	EXPECT(t, vfio_get(&n->v, CFG, 0, 4) == ids, "another device: %#llx",
	       vfio_get(&n->v, CFG, 0, 4));
}

static void capability_list_is_sound(struct test *t, struct nvme *n)
{
	u8 pos = vfio_get(&n->v, CFG, PCI_CAPABILITY_LIST, 1);
	unsigned int i;

	for (i = 0; pos && i < 48; i++) {
		EXPECT(t, pos >= 0x40 && !(pos & 3), "capability at %#x", pos);
		vfio_put(&n->v, CFG, pos, 2, 0xffff);
		pos = vfio_get(&n->v, CFG, pos + 1, 1);
	}
	EXPECT(t, !pos, "the list does not end");
	EXPECT(t, vfio_find_cap(&n->v, PCI_CAP_ID_EXP, 0), "no PCI Express capability");
	EXPECT(t, vfio_find_cap(&n->v, PCI_CAP_ID_MSIX, 0), "no MSI-X capability");
}

static void msix_bits_toggle(struct test *t, struct nvme *n)
{
	u8 pos = vfio_find_cap(&n->v, PCI_CAP_ID_MSIX, 0);
	u16 was = vfio_get(&n->v, CFG, pos + PCI_MSIX_FLAGS, 2);
	u64 table = vfio_get(&n->v, CFG, pos + PCI_MSIX_TABLE, 8);
	unsigned int i;

	EXPECT(t, (was & PCI_MSIX_FLAGS_QSIZE) + 1U >= n->v.nr_vectors, "table size %u",
	       (was & PCI_MSIX_FLAGS_QSIZE) + 1);
	for (i = 0; i < 64; i++)
		vfio_put(&n->v, CFG, pos + PCI_MSIX_FLAGS, 2, i * 0x4321);
	vfio_put(&n->v, CFG, pos + PCI_MSIX_FLAGS, 2, was | PCI_MSIX_FLAGS_QSIZE);
	EXPECT(t, vfio_get(&n->v, CFG, pos + PCI_MSIX_FLAGS, 2) == was, "flags %#llx, were %#x",
	       vfio_get(&n->v, CFG, pos + PCI_MSIX_FLAGS, 2), was);
	vfio_put(&n->v, CFG, pos + PCI_MSIX_TABLE, 4, 0xffffffff);
	vfio_put(&n->v, CFG, pos + PCI_MSIX_PBA, 4, 0xffffffff);
	EXPECT(t, vfio_get(&n->v, CFG, pos + PCI_MSIX_TABLE, 8) == table, "table or PBA moved");
}

static void flr_resets_the_function(struct test *t, struct nvme *n)
{
	struct nvme_queue q;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 8, 8, 0), "no pair");
	EXPECT(t, !nvme_flr(n), "FLR");
	EXPECT(t, !(nvme_get32(n, REG_CC) & CC_EN), "CC %#x", nvme_get32(n, REG_CC));
	EXPECT(t, !(nvme_get32(n, REG_CSTS) & CSTS_RDY), "CSTS %#x", nvme_get32(n, REG_CSTS));
	EXPECT(t, !(vfio_get(&n->v, CFG, PCI_COMMAND, 2) &
		    (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)), "COMMAND is kept");
	EXPECT(t, !nvme_start(n), "does not come up");
	EXPECT(t, !nvme_check(n), "does not work");
}

static void flr_storm(struct test *t, struct nvme *n)
{
	u8 pos = vfio_find_cap(&n->v, PCI_CAP_ID_EXP, 0);
	struct nvme_sqe sqe = { .opcode = IO_READ, .nsid = n->nsid };
	struct nvme_queue q;
	unsigned int i;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 64, 0), "no pair");
	sqe.prp1 = nvme_dma(n, nvme_alloc(n, 4096));
	for (i = 0; i < 60; i++)
		nvme_queue_cmd(&q, &sqe);
	nvme_ring(n, &q);
	for (i = 0; i < 50; i++)
		vfio_put(&n->v, CFG, pos + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	n->sq_live = 0;
	n->cq_live = 0;
	sleep_us(100000);
	EXPECT(t, !nvme_start(n), "does not come up");
	EXPECT(t, !nvme_check(n), "does not work");
}

static void power_states(struct test *t, struct nvme *n)
{
	u8 pos = vfio_find_cap(&n->v, PCI_CAP_ID_PM, 0);
	unsigned int i, state;

	if (!pos) {
		t->skipped = "no power management capability";
		return;
	}
	for (i = 0; i < 16; i++) {
		state = i * 7 % 4;
		vfio_put(&n->v, CFG, pos + PCI_PM_CTRL, 2, state);
		nvme_get32(n, REG_CSTS);
		vfio_put(&n->v, BAR0, nvme_sq_db(n, 0), 4, i);
	}
	vfio_put(&n->v, CFG, pos + PCI_PM_CTRL, 2, 0);
	EXPECT(t, (vfio_get(&n->v, CFG, pos + PCI_PM_CTRL, 2) & 3) == 0, "it is not in D0");
}

static void no_dma_without_bus_master(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, nvme_alloc(n, 4096)));
	struct nvme_cqe cqe;

	vfio_put(&n->v, CFG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT(t, nvme_wait(n, &n->adm, nvme_submit(n, &n->adm, &sqe), &cqe, QUIET_MS),
	       "it wrote a completion");
}

static void decode_off_and_on(struct test *t, struct nvme *n)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		vfio_put(&n->v, CFG, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
		vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_0, 4, 0x90000000 + i * 0x1000000);
		vfio_put(&n->v, CFG, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	}
	EXPECT(t, !nvme_check(n), "the device does not work with its BAR elsewhere");
	nvme_free_all(n);
	EXPECT(t, !nvme_setup_pci(n), "set up again");
}

static struct test tests[] = {
	{ "vendor_and_device_id_are_read_only", field_is_read_only, 0, PCI_VENDOR_ID << 8 | 4 },
	{ "class_and_revision_are_read_only", field_is_read_only, 0,
	  PCI_CLASS_REVISION << 8 | 4 },
	{ "header_type_is_read_only", field_is_read_only, 0, PCI_HEADER_TYPE << 8 | 1 },
	{ "subsystem_id_is_read_only", field_is_read_only, 0,
	  PCI_SUBSYSTEM_VENDOR_ID << 8 | 4 },
	{ "capability_pointer_is_read_only", field_is_read_only, 0,
	  PCI_CAPABILITY_LIST << 8 | 1 },
	{ "interrupt_pin_is_read_only", field_is_read_only, 0, PCI_INTERRUPT_PIN << 8 | 1 },
	{ "class_is_nvme", class_is_nvme },
	{ "reserved_command_bits_stay_zero", reserved_command_bits_stay_zero },
	{ "bar0_tells_its_size", bar_tells_its_size, 0, 0 },
	{ "bar2_tells_its_size", bar_tells_its_size, 0, 2 },
	{ "bar4_tells_its_size", bar_tells_its_size, 0, 4 },
	{ "rom_bar_without_rom_is_zero", no_rom },
	{ "config_accesses_beyond_256_bytes", accesses_beyond_256_bytes },
	{ "config_reads_of_odd_sizes", odd_sizes_and_offsets },
	{ "ones_in_every_config_register", ones_everywhere, TEST_RESETS, 0xffffffff },
	{ "zeroes_in_every_config_register", ones_everywhere, TEST_RESETS, 0 },
	{ "capability_list_is_sound_and_read_only", capability_list_is_sound },
	{ "msix_control_bits_toggle", msix_bits_toggle, TEST_RESETS },
	{ "flr_resets_the_function", flr_resets_the_function, TEST_RESETS },
	{ "fifty_flrs_under_load", flr_storm, TEST_RESETS },
	{ "power_state_changes", power_states, TEST_RESETS },
	{ "no_dma_without_bus_master", no_dma_without_bus_master, TEST_RESETS },
	{ "memory_decode_off_and_on", decode_off_and_on },
};

const struct suite suite_config = { "config", tests, ARRAY_SIZE(tests) };
