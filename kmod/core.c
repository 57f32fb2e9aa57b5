// SPDX-License-Identifier: GPL-2.0
/*
 * What all floors of the module may look at: its parameters, what these say of one
 * controller, and what tests take away.
 * Nothing here changes after it was loaded, and nothing is called from here.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "compat.h"
#include "core.h"

bool liov_allow_direct;
module_param_named(allow_direct, liov_allow_direct, bool, 0444);
MODULE_PARM_DESC(allow_direct,
		 "allow direct mode: guests drive hardware queues themselves and must be trusted (default: off)");

/* Words of a parameter that tells controllers apart; arbitrary. */
#define LIOV_WORDS	64

static char *offer[LIOV_WORDS];
static unsigned int nr_offer;
module_param_array(offer, charp, &nr_offer, 0444);
MODULE_PARM_DESC(offer, "controllers to offer to guests: all, or their BDFs (default: none)");

static char *reserve[LIOV_WORDS];
static unsigned int nr_reserve;
module_param_array(reserve, charp, &nr_reserve, 0444);
MODULE_PARM_DESC(reserve,
		 "spare queue pairs to ask each controller for: N, and BDF=N for one (default: 0)");

static char *host_queues[LIOV_WORDS];
static unsigned int nr_host_queues;
module_param_array(host_queues, charp, &nr_host_queues, 0444);
MODULE_PARM_DESC(host_queues,
		 "I/O queues the host's own driver keeps at most: N or auto, and BDF=N for one (default: auto)");

static const char * const lack_names[LIOV_NR_LACKS] = {
	[LIOV_LACK_WRITE_TRACKING]	= "write_tracking",
	[LIOV_LACK_IPMODIFY]		= "ipmodify",
	[LIOV_LACK_DYNAMIC_MSIX]	= "dynamic_msix",
	[LIOV_LACK_HALTS]		= "halts",
	[LIOV_LACK_HOST_INTERRUPTS]	= "host_interrupts",
	[LIOV_LACK_FENCE]		= "fence",
	[LIOV_LACK_SEPARATE_NVME]	= "separate_nvme",
	[LIOV_LACK_CALLS]		= "calls",
	[LIOV_LACK_WORKER]		= "worker",
};

static char *lacks[LIOV_NR_LACKS];
static unsigned int nr_lacks;
module_param_array(lacks, charp, &nr_lacks, 0444);
MODULE_PARM_DESC(lacks,
		 "for tests: behave as if this were missing, of write_tracking, ipmodify, dynamic_msix, halts, host_interrupts, fence, separate_nvme, calls, worker (default: none)");

static bool lacking[LIOV_NR_LACKS] __ro_after_init;

/**
 * liov_lacks() - shall this be taken for missing?
 * @what: what
 *
 * Any context.  Return: true if a test wants it.
 */
bool liov_lacks(enum liov_lack what)
{
	return lacking[what];
}

/*
 * The address of a PCI function, like 0000:01:00.0 or 01:00.0, at the beginning of a word.
 * Returns what follows it, or NULL if there is none.
 */
static const char *address_in(const char *word, unsigned int a[4])
{
	int n = 0;

	if (sscanf(word, "%x:%x:%x.%x%n", &a[0], &a[1], &a[2], &a[3], &n) == 4)
		return word + n;
	a[0] = 0;
	if (sscanf(word, "%x:%x.%x%n", &a[1], &a[2], &a[3], &n) == 3)
		return word + n;
	return NULL;
}

static bool is_address_of(const unsigned int a[4], struct pci_dev *pdev)
{
	return a[0] == pci_domain_nr(pdev->bus) && a[1] == pdev->bus->number &&
	       a[2] == PCI_SLOT(pdev->devfn) && a[3] == PCI_FUNC(pdev->devfn);
}

/* What a parameter or an attribute says: a number, or LIOV_AUTO.  0 or -EINVAL. */
static int number_in(const char *text, unsigned int least, unsigned int *val)
{
	if (least && sysfs_streq(text, "auto")) {
		*val = LIOV_AUTO;
		return 0;
	}
	return kstrtouint(text, 0, val) || *val < least ? -EINVAL : 0;
}

/**
 * liov_host_queues_parse() - how many queues the host's driver shall keep
 * @text: "auto" or a number, 1 at least; a trailing newline is allowed
 * @val:  where it goes
 *
 * Any context.  Return: 0 or -EINVAL.
 */
int liov_host_queues_parse(const char *text, unsigned int *val)
{
	return number_in(text, 1, val);
}

/**
 * liov_reserve_parse() - how many pairs shall be spare
 * @text: a number; a trailing newline is allowed
 * @val:  where it goes
 *
 * Any context.  Return: 0 or -EINVAL.
 */
int liov_reserve_parse(const char *text, unsigned int *val)
{
	return number_in(text, 0, val);
}

/*
 * What the words of a parameter, N or BDF=N, say of a controller, or of none: BDF=N comes
 * before N, of several the last counts.  Without any *@val stays.  Returns the word that
 * is not understood, or NULL.
 */
static const char *words_say(char **words, unsigned int nr, struct pci_dev *pdev,
			     int (*parse)(const char *text, unsigned int *val), unsigned int *val)
{
	unsigned int i, n, a[4];
	bool found = false;
	const char *text;

	for (i = 0; i < nr; i++) {
		text = address_in(words[i], a);
		if (text && *text++ != '=')
			return words[i];
		if (parse(text ?: words[i], &n))
			return words[i];
		if (text ? pdev && is_address_of(a, pdev) : !found)
			*val = n;
		found |= text && pdev && is_address_of(a, pdev);
	}
	return NULL;
}

/**
 * liov_host_queues_of() - what the parameter host_queues says of a controller
 * @pdev: its function
 *
 * Any context.  Return: a number, or LIOV_AUTO.
 */
unsigned int liov_host_queues_of(struct pci_dev *pdev)
{
	unsigned int val = LIOV_AUTO;

	words_say(host_queues, nr_host_queues, pdev, liov_host_queues_parse, &val);
	return val;
}

/**
 * liov_reserve_of() - what the parameter reserve says of a controller
 * @pdev: its function
 *
 * Any context.  Return: a number.
 */
unsigned int liov_reserve_of(struct pci_dev *pdev)
{
	unsigned int val = 0;

	words_say(reserve, nr_reserve, pdev, liov_reserve_parse, &val);
	return val;
}

/* "all", an address and nothing else, or nothing: is it about a controller?  Or -EINVAL. */
static int offer_says(const char *word, struct pci_dev *pdev)
{
	unsigned int a[4];
	const char *rest = address_in(word, a);

	if (rest)
		return *rest ? -EINVAL : pdev && is_address_of(a, pdev);
	if (!*word)
		return 0;
	return sysfs_streq(word, "all") ? 1 : -EINVAL;
}

/**
 * liov_offer_of() - what the parameter offer says of a controller
 * @pdev: its function
 *
 * Any context.  Return: whether it is to be offered from the beginning.
 */
bool liov_offer_of(struct pci_dev *pdev)
{
	unsigned int i;

	for (i = 0; i < nr_offer; i++) {
		if (offer_says(offer[i], pdev) > 0)
			return true;
	}
	return false;
}

static int __init offer_check(void)
{
	bool none = true;
	unsigned int i;

	for (i = 0; i < nr_offer; i++) {
		if (offer_says(offer[i], NULL) < 0) {
			pr_err("offer=%s: write all, or the addresses of controllers, like 0000:01:00.0\n",
			       offer[i]);
			return -EINVAL;
		}
		none &= !*offer[i];
	}
	if (none)
		pr_notice("no controller is offered to guests; write 1 to lightiov/offered of one in sysfs, or load with offer=0000:01:00.0 or offer=all\n");
	return 0;
}

static int __init words_check(void)
{
	unsigned int val;
	const char *word;

	word = words_say(reserve, nr_reserve, NULL, liov_reserve_parse, &val);
	if (word) {
		pr_err("reserve=%s: write a number, or one for each controller: 0000:01:00.0=8\n",
		       word);
		return -EINVAL;
	}
	word = words_say(host_queues, nr_host_queues, NULL, liov_host_queues_parse, &val);
	if (word) {
		pr_err("host_queues=%s: write auto or a number from 1 on, or one for each controller: 0000:01:00.0=4\n",
		       word);
		return -EINVAL;
	}
	return 0;
}

/**
 * liov_core_init() - once, before anything else of the module
 *
 * Return: 0, or -EINVAL if a parameter is none.
 */
int __init liov_core_init(void)
{
	unsigned int i;
	int what;

	for (i = 0; i < nr_lacks; i++) {
		what = match_string(lack_names, LIOV_NR_LACKS, lacks[i]);
		if (what < 0) {
			pr_err("lacks=%s: no such thing; write_tracking, ipmodify, dynamic_msix, halts, host_interrupts, fence, separate_nvme, calls and worker are known\n",
			       lacks[i]);
			return -EINVAL;
		}
		lacking[what] = true;
		pr_notice("for a test: going on as if there were no %s\n", lacks[i]);
	}
	return words_check() ?: offer_check();
}
