-- Asked by a.name, so that no way is looked for from an extension whose files are gone.
select
    format('%%I', e.extname) as name,
    e.extversion as installed,
    a.default_version as available
from pg_catalog.pg_extension e
join pg_catalog.pg_available_extensions a on a.name = e.extname
where a.default_version <> e.extversion
  and exists (
      select
      from pg_extension_update_paths(a.name) u
      where u.source = e.extversion and u.target = a.default_version and u.path is not null
  )
order by e.extname
