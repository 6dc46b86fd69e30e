"""The desk as a service on a Linux that was booted for it: `python -m tests.boot` or `make boot`.

Debian is laid into a folder by debootstrap, the steps of deploy/README.md are carried out there as
written, and systemd is started in it by systemd-nspawn. No order leaves this machine: the desks
trade on paper and at the loopback venue. Needs root, debootstrap and systemd-nspawn.
"""
