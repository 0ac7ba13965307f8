"""Three lines, tuned by hand."""
import os

CHECK_INTERVAL: float = 2
START_METRIC = 2
MAX_STORED_TEST_RESULT_COUNT = 20
MAX_FAILED_CHECKS = 5
MIN_CONSECUTIVE_SUCCEEDED_CHECKS = 9
STICKY_PROVIDER_FILENAME = os.environ["STICKY"]
RETRIES = 3
GATEWAY = "10.0.0.1"

providers = [
    Provider("the house's fibre", "eth1", "10.0.0.2", "10.0.0.1"),
    Provider(id='radio', interface_name='eth1', gateway=GATEWAY, mtu=1400),
    Provider(id='lte', interface_name='wwan0', ipv4_address='10.64.0.2/30'),
    Provider(id='lost'),
    None,
]

if os.path.exists("/etc/extra"):
    MAX_FAILED_CHECKS = 1

test_cases = [
    TestScenarioPing(target="8.8.8.8"),
    TestScenarioPing("dns.example.org"),
    TestScenarioDig("9.9.9.9"),
]
