# Stands in for the file of this name in OpenWrt's build system, as do the others below this directory: cross/package reads
# the Makefiles in openwrt/ with them. Only what that file uses is here.

INCLUDE_DIR:=$(TOPDIR)/include
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
