//! The harness itself: that a view of the plainest kind comes up in the stand-in of LuCI's runtime, live and without a complaint.

use lab::LabConfig;

use crate::bridge::access::User;
use crate::page::Page;

#[test]
fn a_view_shows_what_the_daemon_says() {
    let page = Page::of_fixtures(LabConfig::default());
    let daemon = page.start();
    page.open(User::Admin, "admin/harness/hello");
    page.browser.wait_text("#active", "wan0");
    page.browser.screenshot("harness");
    page.world.provider(0).silent(true);
    page.browser.wait_text("#active", "wan1");
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}
