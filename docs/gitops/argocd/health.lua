-- Health of an ack-offboarding.io UserOffboarding, for Argo CD: see ../README.md.
-- Degraded is what a person must look at. Suspended is what waits, for days perhaps, and is as it should be.
local waiting = {
  WaitingForInactivity = true,
  AwaitingApproval = true,
  Suspended = true,
}

local function condition(type)
  if obj.status == nil or obj.status.conditions == nil then
    return nil
  end
  for _, candidate in ipairs(obj.status.conditions) do
    if candidate.type == type then
      return candidate
    end
  end
  return nil
end

local ready = condition("Ready")
if ready == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at this yet." }
end

local message = ready.reason .. ": " .. (ready.message or "")
local stalled = condition("Stalled")
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = message }
end
if ready.status == "True" then
  return { status = "Healthy", message = message }
end
if waiting[ready.reason] then
  return { status = "Suspended", message = message }
end
return { status = "Progressing", message = message }
