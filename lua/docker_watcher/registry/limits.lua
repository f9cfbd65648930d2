--- Every size, count and time that the registry client bounds, each with its reason. registry.new{ limits = {…} } may
-- change any; an error that comes from one names it.

return {
  page_tags = 1000,              -- asked for per page; more is refused by ECR and ACR
  pages = 2000,                  -- of one listing; real ones have 203 (registries.md, 1.1)
  tags = 500000,                 -- of one repository; real ones have 202,169
  page_bytes = 32 * 1024 * 1024, -- of one page
  listing_bytes = 64 * 1024 * 1024, -- of all pages of one listing
  listing_seconds = 300,         -- for all pages of one listing
  request_seconds = 30,          -- for one request
  manifest_bytes = 4 * 1024 * 1024, -- a registry must take 4 MB
  token_bytes = 1024 * 1024,     -- of a token server's answer
  token_length = 64 * 1024,      -- of the token itself
  token_seconds = 60,            -- how long a token lives where its server does not say, and at least
  stored_seconds = 300,          -- for which the docker command's credentials are kept before they are looked up again
  challenge_bytes = 8 * 1024,    -- of all WWW-Authenticate lines
  link_bytes = 8 * 1024,         -- of all Link lines
  redirects = 5,                 -- of one request
  retry_after_seconds = 6 * 3600, -- a longer wait is taken for a slip
}
