/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the pure files of kmod/model/ use of the kernel, for a hosted compiler.  model.h
 * includes it when __KERNEL__ is not defined.  The NVMe structures are the
 * kernel's own: LIOV_NVME_H is the path of its linux/nvme.h, set by the Makefile.
 * To be compiled with -Iselftests/unit -Iselftests/unit/include, little-endian
 * hosts only.
 */
#ifndef _LIOV_SHIM_H
#define _LIOV_SHIM_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the conversions below are those of a little-endian host"
#endif

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

#define UUID_SIZE 16

typedef struct {
	__u8 b[UUID_SIZE];
} uuid_t;

#ifndef __packed
#define __packed __attribute__((__packed__))
#endif
#define __force
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (63 - (h))))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define sizeof_field(type, member) (sizeof(((type *)0)->member))
#define offsetofend(type, member) (offsetof(type, member) + sizeof_field(type, member))

#define struct_group(name, ...) \
	union { \
		struct { __VA_ARGS__ }; \
		struct { __VA_ARGS__ } name; \
	}

#define min(a, b) \
	({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })
#define max(a, b) \
	({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })
#define min3(a, b, c) min(min(a, b), c)
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))
#define clamp(v, lo, hi) min(max(v, lo), hi)
#define clamp_t(type, v, lo, hi) clamp((type)(v), (type)(lo), (type)(hi))

#define lower_32_bits(n) ((u32)(n))
#define upper_32_bits(n) ((u32)((u64)(n) >> 32))

/* No processor is guessed at here; the callers have checked. */
#define array_index_nospec(index, size) ((index) < (size) ? (index) : 0)

#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_sub_overflow(a, b, d) __builtin_sub_overflow(a, b, d)
#define check_mul_overflow(a, b, d) __builtin_mul_overflow(a, b, d)

/* The text is optional in the kernel's, and nvme.h of 7.x has none. */
#undef static_assert
#define static_assert(expr, ...) _Static_assert(expr, #expr)

static inline __le16 cpu_to_le16(u16 v) { return v; }
static inline __le32 cpu_to_le32(u32 v) { return v; }
static inline __le64 cpu_to_le64(u64 v) { return v; }
static inline u16 le16_to_cpu(__le16 v) { return v; }
static inline u32 le32_to_cpu(__le32 v) { return v; }
static inline u64 le64_to_cpu(__le64 v) { return v; }

#define LIOV_SHIM_UNALIGNED(bits) \
static inline u##bits get_unaligned_le##bits(const void *p) \
{ \
	u##bits v; \
	memcpy(&v, p, sizeof(v)); \
	return v; \
} \
\
static inline void put_unaligned_le##bits(u##bits v, void *p) \
{ \
	memcpy(p, &v, sizeof(v)); \
}

LIOV_SHIM_UNALIGNED(16)
LIOV_SHIM_UNALIGNED(32)
LIOV_SHIM_UNALIGNED(64)

#include LIOV_NVME_H

#endif /* _LIOV_SHIM_H */
