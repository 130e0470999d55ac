-- What this transaction's commit waits for: at least what the boards of its submissions asked for, and, if some of them asked for
-- nothing, no less than the connection has.
-- $1 the strictest that was asked for, $2 some asked for nothing
select set_config('synchronous_commit',
                  case
                      when $2::boolean
                           and array_position('{local,remote_write,on,remote_apply}', current_setting('synchronous_commit'))
                               > array_position('{local,remote_write,on,remote_apply}', $1::text)
                          then current_setting('synchronous_commit')
                      else $1::text
                  end, true)
