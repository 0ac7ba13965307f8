# Stands in for OpenWrt's: instead of building the package it installs its files and writes down what it says about itself.
#   make install ROOT=DIRECTORY PKG_INSTALL_DIR=DIRECTORY    the files; the program is PKG_INSTALL_DIR/bin/failoverd
#   make control CONTROL=DIRECTORY ARCHITECTURE= INSTALLED_SIZE= SOURCE_DATE_EPOCH=    control, conffiles, and the scripts

comma:=,
empty:=
space:=$(empty) $(empty)
# '+NAME' in DEPENDS is what the build system has to build first.
depends=$(subst $(space),$(comma)$(space),$(strip $(patsubst +%,%,$(DEPENDS))))

define BuildPackage
  $(eval $(Package/$(1)))

install:
	$(call Package/$(1)/install,$(ROOT))

control:
	printf '%s\n' \
	    'Package: $(PKG_NAME)' \
	    'Version: $(PKG_VERSION)-r$(PKG_RELEASE)' \
	    'Depends: $(depends)' \
	    'Source: openwrt/$(PKG_NAME)' \
	    'SourceName: $(PKG_NAME)' \
	    'License: $(PKG_LICENSE)' \
	    'Section: $(SECTION)' \
	    'Require-User: $(USERID)' \
	    'SourceDateEpoch: $(SOURCE_DATE_EPOCH)' \
	    'Architecture: $(ARCHITECTURE)' \
	    'Installed-Size: $(INSTALLED_SIZE)' \
	    'Description: $(strip $(Package/$(1)/description))' >$(CONTROL)/control
	printf '%s\n' $(strip $(Package/$(1)/conffiles)) | LC_ALL=C sort >$(CONTROL)/conffiles
	printf '%s\n' "$$$$POSTINST" >$(CONTROL)/postinst-pkg
	printf '%s\n' "$$$$POSTRM" >$(CONTROL)/postrm
endef

export POSTINST=$(Package/$(PKG_NAME)/postinst)
export POSTRM=$(Package/$(PKG_NAME)/postrm)
