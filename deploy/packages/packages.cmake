# Packages for Debian, and for RPM where rpmbuild is: twampmesh-agent, twampmesh-controller, twampmesh-tools. deploy/packages/build makes them.
set(TW_MAINTAINER "twampmesh maintainers <maintainers@users.noreply.r-seed-596da4d8.example>" CACHE STRING "whom the packages name")
set(release 1)
set(control ${made}/packages)

# What each is, in one line and in some more. RPM has the same words.
set(summary_agent "measures delay, jitter and loss between sites: the agent")
set(more_agent
"Reflects TWAMP and STAMP probes (RFC 5357, 8762, 8972), and sends those that
the schedule of its controller asks for. It only dials out, goes on without
the controller, and delivers every result exactly once when it is back.")
set(summary_controller "measures delay, jitter and loss between sites: the controller")
set(more_controller
"Keeps the inventory of agents and their certificates, gives them their
schedules, stores their results in SQLite, tells of alerts, and serves a
dashboard, metrics for Prometheus and an HTTP API.")
set(summary_tools "measures delay, jitter and loss between sites: command line")
set(more_tools
"twampctl operates the controller: agents, meshes, reports, live tables,
diagnoses. twamp measures between two hosts without any controller, and
probes reflectors of any make.")

# Whether it is started as soon as it is installed: an agent has to be told of its controller before.
set(start_agent no)
set(start_controller yes)
# What a purge forgets besides the data directory.
set(forget_agent /etc/twampmesh/join-token)

set(CPACK_PACKAGE_NAME twampmesh)
set(CPACK_PACKAGE_VENDOR "twampmesh")
set(CPACK_PACKAGE_CONTACT "${TW_MAINTAINER}")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL agent controller tools)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_OUTPUT_FILE_PREFIX ${CMAKE_BINARY_DIR}/out)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${release})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${TW_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_RELEASE ${release})
set(CPACK_RPM_PACKAGE_LICENSE Apache-2.0)
set(CPACK_RPM_PACKAGE_GROUP Applications/System)
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /etc /lib /usr /usr/bin /usr/sbin /usr/lib /usr/lib/systemd /usr/lib/systemd/system
    /usr/lib/sysusers.d /usr/share /usr/share/doc /usr/share/man /usr/share/man/man1 /usr/share/man/man5 /usr/share/man/man8
    /usr/share/bash-completion /usr/share/bash-completion/completions /usr/share/zsh /usr/share/zsh/site-functions)

configure_file(packages/changelog ${control}/changelog @ONLY)
add_custom_command(OUTPUT ${control}/changelog.Debian.gz COMMAND ${TW_GZIP} -9nc ${control}/changelog > ${control}/changelog.Debian.gz
                   DEPENDS ${control}/changelog VERBATIM)
add_custom_target(tw_changelog ALL DEPENDS ${control}/changelog.Debian.gz)

# tw_package(COMPONENT): what every package has.
macro(tw_package component)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME twampmesh-${component})
  set(CPACK_RPM_${upper}_PACKAGE_NAME twampmesh-${component})
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${summary_${component}}\n${more_${component}}")
  set(CPACK_RPM_${upper}_PACKAGE_SUMMARY "${summary_${component}}")
  set(CPACK_RPM_${upper}_PACKAGE_DESCRIPTION "${more_${component}}")
  install(FILES ${control}/changelog.Debian.gz packages/copyright DESTINATION share/doc/twampmesh-${component} COMPONENT ${component})
endmacro()

# tw_service(COMPONENT): and those with a daemon. dpkg wants the scripts by their names, so each component has a folder.
macro(tw_service component)
  tw_package(${component})
  set(package twampmesh-${component})
  set(unit twamp-${component}.service)
  set(start ${start_${component}})
  set(forget ${forget_${component}})
  foreach(script postinst prerm postrm rpm-post rpm-preun)
    configure_file(packages/${script}.in ${control}/${component}/${script} @ONLY)
    file(CHMOD ${control}/${component}/${script} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endforeach()
  file(WRITE ${control}/${component}/conffiles "/etc/twampmesh/${component}.yaml\n")
  install(FILES config/${component}.yaml DESTINATION /etc/twampmesh COMPONENT ${component} EXCLUDE_FROM_ALL)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA
      ${control}/${component}/conffiles ${control}/${component}/postinst ${control}/${component}/prerm ${control}/${component}/postrm)
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "init-system-helpers (>= 1.54~), systemd | systemd-standalone-sysusers | systemd-sysusers")
  set(CPACK_RPM_${upper}_POST_INSTALL_SCRIPT_FILE ${control}/${component}/rpm-post)
  set(CPACK_RPM_${upper}_PRE_UNINSTALL_SCRIPT_FILE ${control}/${component}/rpm-preun)
  set(CPACK_RPM_${upper}_USER_FILELIST "%config(noreplace) /etc/twampmesh/${component}.yaml")
endmacro()

tw_service(agent)
tw_service(controller)
tw_package(tools)
set(CPACK_DEBIAN_CONTROLLER_PACKAGE_RECOMMENDS "twampmesh-tools, tzdata")
set(CPACK_DEBIAN_AGENT_PACKAGE_SUGGESTS "twampmesh-tools")
include(CPack)
