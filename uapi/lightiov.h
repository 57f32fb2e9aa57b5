/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * LightIOV: what user space and a guest must know of a LightIOV instance.
 *
 * An instance looks like an ordinary NVMe PCI function.  It carries one PCI
 * vendor-specific capability (ID 09h) in its configuration space.  In direct
 * mode the guest helper (lightiov_guest.ko) finds the device by it and asks
 * there for *windows*: ranges of guest RAM that the host has pinned and mapped
 * for the drive at a linear bus-address offset.
 */
#ifndef _UAPI_LIGHTIOV_H
#define _UAPI_LIGHTIOV_H

#include <linux/types.h>

/* "LIOV", little endian, at LIGHTIOV_CAP_MAGIC. */
#define LIGHTIOV_MAGIC			0x564f494cU
#define LIGHTIOV_CAP_VERSION		1

/* Byte offsets in the vendor-specific capability; all fields little endian. */
#define LIGHTIOV_CAP_HDR		0x00	/* PCI: id, next, length */
#define LIGHTIOV_CAP_VER		0x03	/* u8: LIGHTIOV_CAP_VERSION */
#define LIGHTIOV_CAP_MAGIC		0x04	/* u32 ro */
#define LIGHTIOV_CAP_FLAGS		0x08	/* u32 ro: LIGHTIOV_FLAG_* */
#define LIGHTIOV_CAP_CMD		0x0c	/* u32 wo: LIGHTIOV_CMD_*; reads 0 */
#define LIGHTIOV_CAP_STATUS		0x10	/* u32 ro: LIGHTIOV_STATUS_* */
#define LIGHTIOV_CAP_GPA_LO		0x14	/* u32 rw: window start, page aligned */
#define LIGHTIOV_CAP_GPA_HI		0x18
#define LIGHTIOV_CAP_SIZE_LO		0x1c	/* u32 rw: window bytes, page aligned */
#define LIGHTIOV_CAP_SIZE_HI		0x20
#define LIGHTIOV_CAP_BUS_LO		0x24	/* u32 ro: bus address of the window */
#define LIGHTIOV_CAP_BUS_HI		0x28
#define LIGHTIOV_CAP_ERRNO		0x2c	/* u32 ro: positive errno when STATUS is ERROR */
#define LIGHTIOV_CAP_LEN		0x30

/* LIGHTIOV_CAP_FLAGS */
#define LIGHTIOV_FLAG_DIRECT		0x00000001 /* direct mode: windows are needed */

/*
 * LIGHTIOV_CAP_CMD.  MAP and UNMAP_ALL run in the background: STATUS reads
 * BUSY until it is DONE or ERROR.  A command written while BUSY is ignored.
 *
 * MAP: make (or find again) the window that holds [GPA, GPA + SIZE); BUS is
 * the bus address of GPA.  All of the range must be RAM; it may lie inside an
 * existing window, it must not overlap one partly (errno EEXIST).
 *
 * UNMAP_ALL: drop every window; refused (EBUSY) while CC.EN is 1.
 */
#define LIGHTIOV_CMD_NONE		0
#define LIGHTIOV_CMD_MAP		1
#define LIGHTIOV_CMD_UNMAP_ALL		2

/* LIGHTIOV_CAP_STATUS */
#define LIGHTIOV_STATUS_IDLE		0
#define LIGHTIOV_STATUS_BUSY		1
#define LIGHTIOV_STATUS_DONE		2
#define LIGHTIOV_STATUS_ERROR		3

/*
 * Doorbells: CAP.DSTRD is 10, so the doorbell of submission queue y is the
 * page at 0x1000 + 2 * y * 0x1000 of BAR0 and that of completion queue y the
 * page behind it.
 */
#define LIGHTIOV_DSTRD			10
#define LIGHTIOV_DB_STRIDE		(4U << LIGHTIOV_DSTRD)

/* The most I/O queue pairs one instance can have. */
#define LIGHTIOV_MAX_PAIRS		64

#endif /* _UAPI_LIGHTIOV_H */
