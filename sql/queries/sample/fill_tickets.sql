insert into public.tickets (
    id, user_id, subject, description, category, priority, status, assigned_to, resolution, created_at, updated_at
)
select
    md5(%(seed)s || ':ticket:' || ticket.n)::uuid,
    1 + pg_temp.roll(ticket.n, 71, %(users)s),
    ticket.subject,
    ticket.description,
    ticket.category,
    ticket.priority,
    ticket.status,
    ticket.assigned_to,
    ticket.resolution,
    written.at,
    written.at + make_interval(mins => pg_temp.roll(ticket.n, 73, 300)::integer)
from (
    values
        (1, 'My last matches are missing', 'I played four ranked games last night on EUW and none of them shows up in my history.', 'data_sync', 'high', 'open', null, null),
        (2, 'I can''t login since the update', 'The login page says that my session has expired, whatever I do. I tried two browsers.', 'account', 'critical', 'open', null, null),
        (3, 'Charged twice for premium', 'My card was charged two times this month for the same subscription.', 'billing', 'high', 'in_progress', 'lena', null),
        (4, 'Win rate is over 100 %%', 'The champion page of Ahri says 104 %% win rate for the current patch.', 'bug_report', 'high', 'open', null, null),
        (5, 'Dark mode for the timeline', 'The match timeline is very bright at night. A dark theme would be great.', 'feature_request', 'low', 'open', null, null),
        (6, 'Sync stuck at 37 %%', 'The first import of my account has been at 37 percent since Monday.', 'data_sync', 'high', 'in_progress', 'marco', null),
        (7, 'How do I change my region?', 'I transferred from EUNE to EUW and the site still looks me up on the old server.', 'account', 'medium', 'resolved', 'lena', 'The region follows the Riot account: press "Update account" under settings.'),
        (8, 'Page is slow on the leaderboard', 'The leaderboard takes more than ten seconds to load in the evening.', 'technical', 'high', 'open', null, null),
        (9, 'Cancel my subscription', 'Please tell me how to cancel premium before the next payment.', 'billing', 'low', 'closed', 'lena', 'Premium can be cancelled under settings, billing, until the day before the renewal.'),
        (10, 'App crash when opening a replay', 'The Android app crashes whenever I open a match that is older than a week.', 'bug_report', 'high', 'open', null, null),
        (11, 'Export to CSV', 'I coach a team and would like to export the statistics of five players at once.', 'feature_request', 'low', 'open', null, null),
        (12, 'Wrong rank shown', 'I reached Diamond yesterday and the profile still shows Emerald.', 'data_sync', 'low', 'resolved', 'marco', 'Ranks are refreshed once an hour; the profile was updated at the next refresh.'),
        (13, 'Payment failed but money is gone', 'The payment failed on your page, but my bank shows the amount as paid.', 'billing', 'critical', 'in_progress', 'lena', null),
        (14, 'Delete my account and data', 'Please delete my account and everything you have stored about me.', 'account', 'medium', 'open', null, null),
        (15, 'Heat map has no deaths', 'On the heat map only kills are shown, the deaths layer is empty.', 'bug_report', 'medium', 'open', null, null),
        (16, 'Two accounts, one e-mail', 'Can I link a second Riot account to the same e-mail address?', 'account', 'low', 'closed', 'lena', 'Up to five Riot accounts can be linked under settings, accounts.'),
        (17, 'Error 502 in the evening', 'Between 20:00 and 21:00 I get an error 502 on every second page.', 'technical', 'high', 'resolved', 'marco', 'A web server ran out of memory and was replaced.'),
        (18, 'Clash matches', 'Clash matches are counted as flex games. Could they have a filter of their own?', 'feature_request', 'low', 'open', null, null),
        (19, 'Old name is still shown', 'I changed my Riot ID two weeks ago and friends only find me by the old one.', 'data_sync', 'low', 'open', null, null),
        (20, 'Somebody else is in my account', 'I see searches in my history that are not mine. I fear a security problem.', 'account', 'critical', 'open', null, null)
) as ticket (n, subject, description, category, priority, status, assigned_to, resolution)
cross join lateral (
    select %(day)s::timestamptz - make_interval(mins => (360 + pg_temp.roll(ticket.n, 72, 30 * 1440))::integer) as at
) as written
