insert into herald.view_source (view_name, source_md5)
values (%(view_name)s, %(source_md5)s)
on conflict (view_name) do update set source_md5 = excluded.source_md5, applied_at = excluded.applied_at
