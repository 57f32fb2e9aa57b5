/* SPDX-License-Identifier: GPL-2.0 */
/* Registers, opcodes, statuses and entries, from the NVM Express specifications. */
#ifndef _LIOV_NVME_SPEC_H
#define _LIOV_NVME_SPEC_H

#include "test.h"

/* Registers (NVMe Base 2.0 section 3.1.3). */
#define REG_CAP			0x00
#define REG_VS			0x08
#define REG_INTMS		0x0c
#define REG_INTMC		0x10
#define REG_CC			0x14
#define REG_CSTS		0x1c
#define REG_NSSR		0x20
#define REG_AQA			0x24
#define REG_ASQ			0x28
#define REG_ACQ			0x30
#define REG_DB			0x1000

#define CC_EN			BIT(0)
#define CC_CSS(x)		((u32)(x) << 4)
#define CC_MPS(x)		((u32)(x) << 7)
#define CC_AMS(x)		((u32)(x) << 11)
#define CC_SHN(x)		((u32)(x) << 14)
#define CC_IOSQES		(6U << 16)
#define CC_IOCQES		(4U << 20)

#define CSTS_RDY		BIT(0)
#define CSTS_CFS		BIT(1)
#define CSTS_SHST		(3U << 2)
#define CSTS_SHST_DONE		(2U << 2)

/* Admin and NVM opcodes. */
#define ADM_DELETE_SQ		0x00
#define ADM_CREATE_SQ		0x01
#define ADM_GET_LOG		0x02
#define ADM_DELETE_CQ		0x04
#define ADM_CREATE_CQ		0x05
#define ADM_IDENTIFY		0x06
#define ADM_ABORT		0x08
#define ADM_SET_FEATURES	0x09
#define ADM_GET_FEATURES	0x0a
#define ADM_AER			0x0c
#define IO_FLUSH		0x00
#define IO_WRITE		0x01
#define IO_READ			0x02
#define IO_WRITE_UNC		0x04
#define IO_COMPARE		0x05
#define IO_WRITE_ZEROES		0x08
#define IO_DSM			0x09
#define IO_VERIFY		0x0c
#define IO_COPY			0x19

/* Identify Controller, ONCS: which of them are offered. */
#define ONCS_COMPARE		BIT(0)
#define ONCS_WRITE_UNC		BIT(1)
#define ONCS_DSM		BIT(2)
#define ONCS_WRITE_ZEROES	BIT(3)
#define ONCS_VERIFY		BIT(7)
#define ONCS_COPY		BIT(8)

/* Dataset Management, CDW11: deallocate. */
#define DSM_AD			BIT(2)

/* Status: SCT << 8 | SC. */
#define SC_OK			0x000
#define SC_INVALID_OPCODE	0x001
#define SC_INVALID_FIELD	0x002
#define SC_CID_CONFLICT		0x003
#define SC_DATA_TRANSFER	0x004
#define SC_ABORTED		0x007
#define SC_ABORTED_SQ_DELETE	0x008
#define SC_INVALID_NS		0x00b
#define SC_SEQUENCE		0x00c
#define SC_BAD_PRP_OFFSET	0x013
#define SC_LBA_RANGE		0x080
#define SC_NS_NOT_READY		0x082
#define SC_SIZE_LIMIT		0x183
#define SC_CQ_INVALID		0x100
#define SC_QID_INVALID		0x101
#define SC_QUEUE_SIZE		0x102
#define SC_ABORT_LIMIT		0x103
#define SC_AER_LIMIT		0x105
#define SC_VECTOR_INVALID	0x108
#define SC_LOG_INVALID		0x109
#define SC_QUEUE_DELETION	0x10c
#define SC_NOT_SAVEABLE		0x10d
#define SC_NOT_CHANGEABLE	0x10e
#define SC_NOT_NS_SPECIFIC	0x10f
#define SC_COMPARE		0x285

struct nvme_sqe {
	u8  opcode;
	u8  flags;
	u16 cid;
	u32 nsid;
	u32 cdw2, cdw3;
	u64 mptr;
	u64 prp1, prp2;
	u32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_cqe {
	u32 result;
	u32 rsvd;
	u16 sqhd;
	u16 sqid;
	u16 cid;
	u16 status;	/* bit 0: phase */
};

/* A range of Dataset Management and a source range, format 0, of Copy. */
struct nvme_dsm {
	u32 attr;
	u32 nlb;
	u64 slba;
};

struct nvme_copy {
	u64 rsvd;
	u64 slba;
	u16 nlb;	/* 0's based */
	u8 tail[14];
};

#endif /* _LIOV_NVME_SPEC_H */
