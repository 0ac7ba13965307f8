# Stands in for the LuCI feed's: installs an app's htdocs/ and root/, and its translations as LuCI reads them.

PKG_NAME:=$(notdir $(CURDIR))
i18n:=luci-i18n-$(PKG_NAME:luci-app-%=%)

# For a folder of po/: what LuCI calls the language, and what people do.
code.de:=de
title.de:=Deutsch (German)
code.zh_Hans:=zh-cn
title.zh_Hans:=简体中文 (Simplified Chinese)

languages:=$(sort $(patsubst po/%/,%,$(filter-out po/templates/,$(wildcard po/*/))))

include $(INCLUDE_DIR)/package.mk

# Lines that are comments, and indentation: LuCI's own leaves out that and more.
shorten:=sed -i -e 's/^[ \t]*//' -e '/^$$/d' -e '/^\/\*.*\*\/$$/d' -e '/^\/\*/,/\*\/$$/d'

define Package/$(PKG_NAME)
  SECTION:=luci
  DEPENDS:=$(LUCI_DEPENDS)
endef

define Package/$(PKG_NAME)/description
  $(LUCI_DESCRIPTION)
endef

define Package/$(PKG_NAME)/install
	$(INSTALL_DIR) $(1)/www
	cp -R htdocs/. $(1)/www/
	cp -R root/. $(1)/
	find $(1)/www -name '*.js' -o -name '*.css' | xargs $(shorten)
	find $(1) -type f -exec chmod 0644 {} + -o -type d -exec chmod 0755 {} +
endef

# 1: the folder, 2: the package
define Translation
  $(if $(code.$(1)),,$(error po/$(1) is a language that this file does not know))
  define Package/$(2)
    SECTION:=luci
    DEPENDS:=$(PKG_NAME)
    VERSION:=$(PKG_PO_VERSION)
  endef

  define Package/$(2)/description
    Translation for $(PKG_NAME) - $(title.$(1))
  endef

  define Package/$(2)/install
	$$(INSTALL_DIR) $$(1)/etc/uci-defaults $$(1)/usr/lib/lua/luci/i18n
	echo "uci set luci.languages.$(subst -,_,$(code.$(1)))='$(title.$(1))'; uci commit luci" >$$(1)/etc/uci-defaults/$(2)
	for po in po/$(1)/*.po; do \
	    name=$$$$(basename "$$$$po" .po); \
	    $(TOPDIR)/../po2lmo "$$$$po" $$(1)/usr/lib/lua/luci/i18n/"$$$$name".$(code.$(1)).lmo || exit 1; \
	done
	find $$(1) -type f -exec chmod 0644 {} +
  endef
endef

$(foreach language,$(languages),$(eval $(call Translation,$(language),$(i18n)-$(code.$(language)))))
$(eval $(call BuildPackage,$(PKG_NAME)))
$(foreach language,$(languages),$(eval $(call BuildPackage,$(i18n)-$(code.$(language)))))
