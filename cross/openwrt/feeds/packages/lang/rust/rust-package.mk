# Stands in for the packages feed's: failoverd is compiled already, for a CPU that is known to work.
RUST_ARCH_DEPENDS:=
