// SPDX-License-Identifier: GPL-2.0
/*
 * For the lab only: PCI error recovery of one function, with a reset.
 *
 *	insmod lab_aer.ko function=0000:00:10.0 [hold=MS]
 *
 * The emulated drives have no Advanced Error Reporting, so neither QEMU nor the
 * kernel's aer_inject can make an error of theirs.  This calls the driver's
 * handlers as pcie_do_recovery() does after a fatal error: error_detected() with
 * the channel frozen, slot_reset(), resume().  Behind a port the function is out of
 * reach until slot_reset(), its registers read all ones; the link is not reset.  @hold is
 * how long that takes: a reset of a controller that lasts.
 *
 * Loading fails with -ENODEV (no such function), -ENOTTY (its driver has no
 * handlers) or -EIO (the driver gave up); the module does not stay.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/pci.h>

static char *function;
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "the function, as domain:bus:device.function");

static unsigned int hold;
module_param(hold, uint, 0444);
MODULE_PARM_DESC(hold, "milliseconds between error_detected() and slot_reset()");

static void lab_aer_reach(struct pci_dev *pdev, bool reach)
{
	struct pci_dev *port = pci_upstream_bridge(pdev);
	u16 command;

	if (!port)
		return;
	pci_read_config_word(port, PCI_COMMAND, &command);
	command = reach ? command | PCI_COMMAND_MEMORY : command & ~PCI_COMMAND_MEMORY;
	pci_write_config_word(port, PCI_COMMAND, command);
}

/* Under the device lock, as the handlers want it. */
static int lab_aer_recover(struct pci_dev *pdev)
{
	const struct pci_error_handlers *handlers = NULL;
	pci_ers_result_t result;

	if (pdev->dev.driver)
		handlers = to_pci_driver(pdev->dev.driver)->err_handler;
	if (!handlers || !handlers->error_detected || !handlers->slot_reset || !handlers->resume)
		return -ENOTTY;
	lab_aer_reach(pdev, false);
	result = handlers->error_detected(pdev, pci_channel_io_frozen);
	msleep(hold);
	lab_aer_reach(pdev, true);
	if (result == PCI_ERS_RESULT_NEED_RESET)
		result = handlers->slot_reset(pdev);
	if (result != PCI_ERS_RESULT_RECOVERED)
		return -EIO;
	handlers->resume(pdev);
	return 0;
}

static int __init lab_aer_init(void)
{
	unsigned int domain, bus, dev, fn;
	struct pci_dev *pdev;
	int rc;

	if (!function || sscanf(function, "%x:%x:%x.%x", &domain, &bus, &dev, &fn) != 4)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(dev, fn));
	if (!pdev)
		return -ENODEV;
	device_lock(&pdev->dev);
	rc = lab_aer_recover(pdev);
	device_unlock(&pdev->dev);
	pci_dev_put(pdev);
	return rc;
}
module_init(lab_aer_init);

static void __exit lab_aer_exit(void)
{
}
module_exit(lab_aer_exit);

MODULE_DESCRIPTION("Lab only: PCI error recovery of one function");
MODULE_LICENSE("GPL");
