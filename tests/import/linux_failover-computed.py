CHECK_INTERVAL = 1
providers = [Provider(name) for name in open("/etc/providers")]
