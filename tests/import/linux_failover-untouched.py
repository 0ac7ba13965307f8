#!/usr/bin/env python3
from models import Provider, TestScenarioPing

CHECK_INTERVAL = 0.3
START_METRIC = 100
MAX_STORED_TEST_RESULT_COUNT = 50
MAX_FAILED_CHECKS = 50
MIN_CONSECUTIVE_SUCCEEDED_CHECKS = 1
STICKY_PROVIDER_FILENAME = "sticky.provider"

providers: list[Provider] = [
    Provider(id="fiber", interface_name="eth1", ipv4_address="192.168.1.2", network="192.168.1.0/24",
             gateway="192.168.1.1", rt_table_name="FIBER", rt_table_id=101),
    Provider(id="dsl", interface_name="eth2", ipv4_address="192.168.1.2", network="192.168.1.0/24",
             gateway="192.168.1.1", rt_table_name="DSL", rt_table_id=102),
]

test_cases: list[TestScenario] = [TestScenarioPing("9.9.9.9"), TestScenarioPing("1.1.1.1")]

result_set = {p.id: [] for p in providers}
