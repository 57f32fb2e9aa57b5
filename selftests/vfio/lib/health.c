// SPDX-License-Identifier: GPL-2.0
/*
 * After each test: delete what it left, reset if that was its purpose, then one
 * Identify and one read on a fresh queue pair.  Also patterns and FLR.
 */
#include <stdio.h>
#include <string.h>

#include "health.h"

void test_health(struct test *t, struct nvme *n)
{
	u32 csts = nvme_get32(n, REG_CSTS);
	bool reset = t->flags & TEST_RESETS;
	int rc = 0;

	if (!reset && (csts & (CSTS_RDY | CSTS_CFS)) != CSTS_RDY) {
		EXPECT(t, false, "the test left CSTS %#x", csts);
		reset = true;
	}
	if (!reset) {
		nvme_free_all(n);
		rc = nvme_delete_all(n);
		EXPECT(t, !rc, "its queues cannot be deleted (%x)", rc);
	}
	if (reset || rc) {
		rc = nvme_restart(n);
		EXPECT(t, !rc, "the device does not survive VFIO_DEVICE_RESET (%d)", rc);
	}
	if (!rc) {
		rc = nvme_check(n);
		EXPECT(t, !rc, "the device does not work any more (%x)", rc);
		nvme_free_all(n);
	}
	/* Whatever became of the test's commands. */
	if (!rc && nvme_sysfs(n, "stats/load") > 0)
		EXPECT(t, false, "a load of %lld is left of no command",
		       nvme_sysfs(n, "stats/load"));
	/* The next test must not suffer for this one. */
	if (rc && nvme_restart(n))
		diag("and a reset does not help");
}

bool test_open(struct nvme *n, int argc, char **argv, int *rc)
{
	const char *uuid = test_uuid(argc, argv);

	if (!uuid) {
		*rc = test_skip_all("no instance: give its UUID, or set LIGHTIOV_UUID");
		return false;
	}
	if (nvme_open(n, uuid)) {
		printf("Bail out! cannot bring up %s\n", uuid);
		*rc = KSFT_FAIL;
		return false;
	}
	diag("%s: %s mode, %u queue pairs, %u vectors, nsid %u, %llu blocks of %u, mqes %u",
	     uuid, n->direct ? "direct" : "guarded", n->nr_pairs, n->v.nr_vectors,
	     n->nsid, n->nsze, n->lba, n->mqes);
	return true;
}

int nvme_flr(struct nvme *n)
{
	u8 pos = vfio_find_cap(&n->v, PCI_CAP_ID_EXP, 0);
	u16 ctl;
	int rc;

	if (!pos)
		return -ENODEV;
	if (!(vfio_get(&n->v, CFG, pos + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR))
		return -EOPNOTSUPP;
	ctl = vfio_get(&n->v, CFG, pos + PCI_EXP_DEVCTL, 2);
	rc = vfio_put(&n->v, CFG, pos + PCI_EXP_DEVCTL, 2, ctl | PCI_EXP_DEVCTL_BCR_FLR);
	n->sq_live = 0;
	n->cq_live = 0;
	/* PCIe Base section 6.6.2: software waits 100 ms. */
	sleep_us(100000);
	return rc;
}

static u32 pattern_word(u32 seed, size_t i)
{
	u32 x = seed * 0x9e3779b9U + (u32)i * 0x85ebca6bU + 1;

	x ^= x >> 15;
	x *= 0x2c1b3c6dU;
	return x ^ x >> 13;
}

void fill_pattern(void *buf, size_t len, u32 seed)
{
	u32 *p = buf;
	size_t i;

	for (i = 0; i < len / 4; i++)
		p[i] = pattern_word(seed, i);
}

bool check_pattern(const void *buf, size_t len, u32 seed)
{
	const u32 *p = buf;
	size_t i;

	for (i = 0; i < len / 4; i++) {
		if (p[i] == pattern_word(seed, i))
			continue;
		diag("byte %zu: %08x instead of %08x", i * 4, p[i], pattern_word(seed, i));
		return false;
	}
	return true;
}
