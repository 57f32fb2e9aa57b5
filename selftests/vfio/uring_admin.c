// SPDX-License-Identifier: GPL-2.0
/*
 * uring_admin DEVICE OPCODE NSID CDW10: sends an admin command without data to a
 * controller (/dev/nvme0) through io_uring, as newer tools do; nvme-core has a path of its
 * own for that.  Numbers as in C.
 *
 * Exit code: 0 if the drive completed it with success, 1 otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SQE_SIZE	128
#define CQE_SIZE	32

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

/* One entry of a ring of one. */
static void fill(struct io_uring_sqe *sqe, int fd, char **args)
{
	struct nvme_uring_cmd *cmd = (struct nvme_uring_cmd *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = NVME_URING_CMD_ADMIN;
	cmd->opcode = strtoul(args[0], NULL, 0);
	cmd->nsid = strtoul(args[1], NULL, 0);
	cmd->cdw10 = strtoul(args[2], NULL, 0);
	cmd->timeout_ms = 120000;
}

int main(int argc, char **argv)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 };
	struct io_uring_cqe *cqe;
	char *ring;
	void *sqes;
	int fd, ur;

	if (argc != 5) {
		fprintf(stderr, "usage: uring_admin DEVICE OPCODE NSID CDW10\n");
		return 1;
	}
	fd = open(argv[1], O_RDWR);
	if (fd < 0)
		return fail(argv[1]);
	ur = syscall(SYS_io_uring_setup, 1, &p);
	if (ur < 0)
		return fail("io_uring_setup");
	if (!(p.features & IORING_FEAT_SINGLE_MMAP)) {
		fprintf(stderr, "io_uring: an old kernel\n");
		return 1;
	}
	ring = mmap(NULL, p.cq_off.cqes + p.cq_entries * CQE_SIZE + p.sq_entries * sizeof(__u32),
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ur, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, p.sq_entries * SQE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, ur, IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqes == MAP_FAILED)
		return fail("mmap");
	memset(sqes, 0, SQE_SIZE);
	fill(sqes, fd, argv + 2);
	((__u32 *)(ring + p.sq_off.array))[0] = 0;
	__atomic_store_n((__u32 *)(ring + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ur, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return fail("io_uring_enter");
	cqe = (struct io_uring_cqe *)(ring + p.cq_off.cqes);
	if (cqe->res < 0) {
		errno = -cqe->res;
		return fail("the command");
	}
	if (cqe->res)
		fprintf(stderr, "the command: NVMe status %#x\n", cqe->res);
	return cqe->res != 0;
}
