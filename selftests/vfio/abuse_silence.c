// SPDX-License-Identifier: GPL-2.0
/*
 * A controller that is shut down, disabled, reset, without bus mastering or in D3hot
 * touches no memory of its guest and does not interrupt, whatever happens on the host:
 * the guest may have given its old queues' pages to somebody else (NVMe Base 2.0 sections
 * 3.5.1 and 3.6.1, PCIe 5.0 sections 5.3.1.4, 6.6.2 and 7.5.1.1.3).
 *
 * Each state is entered with held event requests and reads under way. Then the pages of
 * all queues and data are filled with a canary, and everything happens that would have
 * made the controller post: an error event, another size of the namespace, a reset of the
 * drive by the host, and bus mastering coming back.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abuse.h"

#define CANARY		0xc5
#define AERS		3
#define READS		32

enum { BY_SHUTDOWN, BY_DISABLE, BY_FLR, BY_BUS_MASTER, BY_D3HOT };

static u8 cap(struct nvme *n, u8 id)
{
	return vfio_find_cap(&n->v, id, 0);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), len = strlen(text);
	bool ok = fd >= 0 && write(fd, text, len) == len;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool read_file(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return n > 0;
}

/* Asynchronous Event Configuration: namespace attribute notices. */
static int arm_events(struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = ADM_SET_FEATURES, .cdw10 = 0x0b, .cdw11 = BIT(8) };
	struct nvme_sqe aer = { .opcode = ADM_AER };
	int rc = nvme_admin(n, &sqe, NULL), i;

	for (i = 0; !rc && i < AERS; i++)
		nvme_submit(n, &n->adm, &aer);
	return rc;
}

/* The host, or whoever owns its devices, does these meanwhile. */
static bool host_resizes(struct nvme *n)
{
	char path[256], was[256], less[320], *plus;
	unsigned long long count;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/lightiov/backing", n->uuid);
	if (!read_file(path, was, sizeof(was)))
		return false;
	plus = strrchr(was, '+');
	/* In direct mode it stays as it is, and a whole namespace does too. */
	if (n->direct || !plus)
		return true;
	count = strtoull(plus + 1, NULL, 0);
	snprintf(less, sizeof(less), "%.*s+%llu shrink", (int)(plus - was), was, count - 8);
	return write_file(path, less) && write_file(path, was);
}

static bool host_resets_the_drive(struct nvme *n)
{
	char path[512], state[64] = "";
	struct dirent *e;
	DIR *dir;
	u64 end = now_ms() + WAIT_MS;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/../nvme", n->uuid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)) && strncmp(e->d_name, "nvme", 4))
		;
	if (!dir || !e) {
		diag("no controller in %s", path);
		return false;
	}
	snprintf(path, sizeof(path), "/sys/class/nvme/%s/reset_controller", e->d_name);
	if (!write_file(path, "1")) {
		closedir(dir);
		return false;
	}
	snprintf(path, sizeof(path), "/sys/class/nvme/%s/state", e->d_name);
	closedir(dir);
	while (now_ms() < end && (!read_file(path, state, sizeof(state)) || strcmp(state, "live")))
		sleep_us(10000);
	return !strcmp(state, "live");
}

static bool config_answers(struct nvme *n)
{
	u64 end = now_ms() + WAIT_MS;

	while (vfio_get(&n->v, CFG, PCI_COMMAND, 4) == 0xffffffff) {
		if (now_ms() >= end)
			return false;
		sleep_us(1000);
	}
	return true;
}

static bool nothing_is_pending(struct nvme *n)
{
	u32 devsta = cap(n, PCI_CAP_ID_EXP) + PCI_EXP_DEVSTA;
	u64 end = now_ms() + WAIT_MS;

	while (vfio_get(&n->v, CFG, devsta, 2) & PCI_EXP_DEVSTA_TRPND) {
		if (now_ms() >= end)
			return false;
		sleep_us(1000);
	}
	return true;
}

/* Into the state, until it is reached. */
static bool go_off(struct nvme *n, long how)
{
	u32 cc = nvme_get32(n, REG_CC), exp = cap(n, PCI_CAP_ID_EXP), pm = cap(n, PCI_CAP_ID_PM);
	u32 devctl = vfio_get(&n->v, CFG, exp + PCI_EXP_DEVCTL, 2);
	u32 command = vfio_get(&n->v, CFG, PCI_COMMAND, 2);

	switch (how) {
	case BY_SHUTDOWN:
		nvme_put32(n, REG_CC, cc | CC_SHN(1));
		return !nvme_wait_csts(n, CSTS_SHST, CSTS_SHST_DONE, WAIT_MS);
	case BY_DISABLE:
		nvme_put32(n, REG_CC, cc & ~CC_EN);
		return !nvme_wait_csts(n, CSTS_RDY, 0, WAIT_MS);
	case BY_FLR:
		vfio_put(&n->v, CFG, exp + PCI_EXP_DEVCTL, 2, devctl | PCI_EXP_DEVCTL_BCR_FLR);
		return config_answers(n);
	case BY_BUS_MASTER:
		vfio_put(&n->v, CFG, PCI_COMMAND, 2, command & ~PCI_COMMAND_MASTER);
		return nothing_is_pending(n);
	case BY_D3HOT:
		vfio_put(&n->v, CFG, pm + PCI_PM_CTRL, 2, 3);
		return nothing_is_pending(n);
	}
	return false;
}

static u64 interrupts(struct nvme *n, int ms)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < n->v.nr_vectors; i++)
		sum += vfio_irq_wait(&n->v, i, i ? 0 : ms);
	return sum;
}

/* @arg: how it goes off. */
static void it_touches_no_memory(struct test *t, struct nvme *n)
{
	struct nvme_queue *q = calloc(1, sizeof(*q));
	u32 blocks = SZ_4K / n->lba ? SZ_4K / n->lba : 1, i;
	size_t used, at;
	u64 irqs;
	u8 *data;

	if (!EXPECT(t, q && n->nr_pairs && !nvme_create_pair(n, q, 1, 64, 64, 1), "no pair") ||
	    !EXPECT(t, !arm_events(n), "events are refused"))
		goto out;
	data = nvme_alloc(n, READS * SZ_4K);
	for (i = 0; i < READS; i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, i * blocks, blocks, data + i * SZ_4K);

		nvme_queue_cmd(q, &sqe);
	}
	nvme_ring(n, q);
	if (!EXPECT(t, go_off(n, t->arg), "it does not get there, CSTS %#x",
		    nvme_get32(n, REG_CSTS)))
		goto out;

	/* The guest's memory is its own again: all of it, from the admin queues on. */
	used = n->brk;
	memset(n->v.mem, CANARY, used);
	interrupts(n, 0);
	vfio_put(&n->v, BAR0, nvme_sq_db(n, n->nr_pairs + 1), 4, 1);
	vfio_put(&n->v, BAR0, nvme_sq_db(n, 0), 4, 1);
	vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), 4, 40);
	EXPECT(t, host_resizes(n), "the host cannot resize it");
	EXPECT(t, host_resets_the_drive(n), "the host cannot reset its drive");
	if (t->arg == BY_D3HOT)
		vfio_put(&n->v, CFG, cap(n, PCI_CAP_ID_PM) + PCI_PM_CTRL, 2, 0);
	vfio_put(&n->v, CFG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	vfio_put(&n->v, BAR0, nvme_sq_db(n, 0), 4, 2);
	irqs = interrupts(n, QUIET_MS);
	EXPECT(t, !irqs, "%llu interrupts", irqs);
	for (at = 0; at < used && ((u8 *)n->v.mem)[at] == CANARY; at++)
		;
	EXPECT(t, at == used, "byte %#zx of %#zx became %02x", at, used, ((u8 *)n->v.mem)[at]);
out:
	free(q);
}

static struct test tests[] = {
	{ "after_a_shutdown_it_touches_no_memory", it_touches_no_memory, TEST_RESETS, BY_SHUTDOWN },
	{ "disabled_it_touches_no_memory", it_touches_no_memory, TEST_RESETS, BY_DISABLE },
	{ "after_an_flr_it_touches_no_memory", it_touches_no_memory, TEST_RESETS, BY_FLR },
	{ "without_bus_mastering_it_touches_no_memory", it_touches_no_memory, TEST_RESETS,
	  BY_BUS_MASTER },
	{ "in_d3hot_it_touches_no_memory", it_touches_no_memory, TEST_RESETS, BY_D3HOT },
};

const struct suite suite_silence = { "silence", tests, ARRAY_SIZE(tests) };
