# Stands in for OpenWrt's: instead of building packages it installs their files and writes down what is said about them.
#   make packages    their names
#   make install PACKAGE=NAME ROOT=DIRECTORY PKG_INSTALL_DIR=DIRECTORY    the files; the program is PKG_INSTALL_DIR/bin/failoverd
#   make control PACKAGE=NAME CONTROL=DIRECTORY ARCHITECTURE= INSTALLED_SIZE= SOURCE_DATE_EPOCH=    control, conffiles, and the scripts
# Without PACKAGE it is the one that is called as the folder's PKG_NAME.

PACKAGE?=$(PKG_NAME)
comma:=,
empty:=
space:=$(empty) $(empty)
# '+NAME' in DEPENDS is what the build system has to build first.
depends=$(subst $(space),$(comma)$(space),$(strip $(patsubst +%,%,$(DEPENDS))))
# Writes a file if there is something to write.
script=$(if $(Package/$(PACKAGE)/$(1)),printf '%s\n' "$$$(2)" >$(CONTROL)/$(3))

define BuildPackage
  packages+=$(1)
  $(if $(filter $(1),$(PACKAGE)),$(eval $(Package/$(1))))
endef

.PHONY: packages install control
packages:
	@echo $(packages)

install:
	$(call Package/$(PACKAGE)/install,$(ROOT))

control:
	printf '%s\n' \
	    'Package: $(PACKAGE)' \
	    'Version: $(or $(VERSION),$(PKG_VERSION)-r$(PKG_RELEASE))' \
	    'Depends: $(depends)' \
	    'Source: openwrt/$(PKG_NAME)' \
	    'SourceName: $(PKG_NAME)' \
	    'License: $(PKG_LICENSE)' \
	    'Section: $(SECTION)' \
	    $(if $(USERID),'Require-User: $(USERID)') \
	    'SourceDateEpoch: $(SOURCE_DATE_EPOCH)' \
	    'Architecture: $(ARCHITECTURE)' \
	    'Installed-Size: $(INSTALLED_SIZE)' \
	    'Description: $(strip $(Package/$(PACKAGE)/description))' >$(CONTROL)/control
	$(if $(Package/$(PACKAGE)/conffiles),printf '%s\n' $(strip $(Package/$(PACKAGE)/conffiles)) | LC_ALL=C sort >$(CONTROL)/conffiles)
	$(call script,postinst,POSTINST,postinst-pkg)
	$(call script,postrm,POSTRM,postrm)

export POSTINST=$(Package/$(PACKAGE)/postinst)
export POSTRM=$(Package/$(PACKAGE)/postrm)
